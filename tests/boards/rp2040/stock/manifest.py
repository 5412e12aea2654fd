# What the port needs, and nothing of the library.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
