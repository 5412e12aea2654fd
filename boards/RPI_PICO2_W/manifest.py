include("$(PORT_DIR)/boards/RPI_PICO2_W/manifest.py")
include("../manifest.py")
