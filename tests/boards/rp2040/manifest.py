# The library and the node, in a MicroPython of which Debian's packages are all there is: micropython-lib is not among
# them, from which the port's own manifest takes drivers.
include("stock/manifest.py")
include("../../../boards/manifest.py")
