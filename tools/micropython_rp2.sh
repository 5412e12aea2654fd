#!/bin/sh
# Unpacks what MicroPython's rp2 port is built from into one folder, all of it from Debian: MicroPython's sources with
# the Pico SDK, TinyUSB, lwIP and mbed TLS in their places, the compiler, picotool. Nothing is installed (debian.sh).
#
# usage: micropython_rp2.sh FOLDER    afterwards FOLDER/micropython is the tree, and FOLDER/usr/bin belongs on PATH
#
# Debian has no driver for the Wi-Fi chip, nor micropython-lib: of the port's boards RPI_PICO and its like can be built,
# not RPI_PICO_W, with a manifest that takes nothing from that library. RPI_PICO_PPP is made here: RPI_PICO with a network.
set -eu
what="sources of MicroPython's rp2 port"
. "${0%/*}/debian.sh"

[ $# -eq 1 ] || cannot "usage: micropython_rp2.sh FOLDER"
for tool in xz bzip2; do
    command -v $tool >/dev/null || cannot "$tool is missing: apt-get install xz-utils bzip2"
done
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$release" ] || cannot "/etc/os-release does not say which Debian this is"

mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$folder/work
rm -rf "$work" "$folder/micropython" "$folder/usr" "$folder/picotool"
trap 'rm -rf "$work"' EXIT

echo "umqtt_full: fetching MicroPython's rp2 port and its compiler into $1, once"

# MicroPython: testing has 1.26 or newer, stable has not.
private micropython amd64 "testing sid" deb-src
private_apt_get micropython source --download-only micropython || cannot "$mirror has no sources of MicroPython"
# What it is built with, in the versions that 1.26 was written for. picotool brings its own C library, for this
# machine's may be older; the loader that knows it starts picotool.
private sdk amd64 trixie "deb deb-src"
private_apt_get sdk download pico-sdk-source tinyusb-source || cannot "$mirror has no Pico SDK"
private_apt_get sdk source --download-only mbedtls || cannot "$mirror has no sources of mbed TLS"
private_apt_get sdk source --download-only lwip || cannot "$mirror has no sources of lwIP"
private_apt_get sdk install --download-only --yes --no-install-recommends picotool || cannot "$mirror has no picotool"
# The compiler: of this machine's own release, so that it runs with the libraries here.
private compiler amd64 "$release" deb
private_apt_get compiler download gcc-arm-none-eabi binutils-arm-none-eabi libnewlib-dev libnewlib-arm-none-eabi \
    libstdc++-arm-none-eabi-dev libstdc++-arm-none-eabi-newlib || cannot "$mirror has no compiler for $release"

tree=$work/tree
mkdir -p "$tree" "$folder/usr" "$folder/picotool"
tar -xf "$work"/micropython/files/micropython_*.orig.tar.* -C "$tree" --strip-components=1
tar -xf "$work"/sdk/files/mbedtls_*.orig.tar.* -C "$tree/lib/mbedtls" --strip-components=1
for package in "$work"/sdk/files/*.deb; do
    dpkg-deb --extract "$package" "$work/sdk/root"
done
tar -xf "$work"/sdk/files/lwip_*.orig.tar.* -C "$tree/lib/lwip" --strip-components=1
rmdir "$tree/lib/pico-sdk" "$tree/lib/tinyusb"
mv "$work/sdk/root/usr/src/pico-sdk" "$work/sdk/root/usr/src/tinyusb" "$tree/lib/"
# By these the makefiles tell that a submodule is there.
touch "$tree/lib/pico-sdk/README.md" "$tree/lib/micropython-lib/README.md"

# A board with a network and no radio: RPI_PICO, which reaches lwIP by PPP over a UART.
boards=$tree/ports/rp2/boards
cp -r "$boards/RPI_PICO" "$boards/RPI_PICO_PPP"
echo 'set(MICROPY_PY_LWIP 1)' >>"$boards/RPI_PICO_PPP/mpconfigboard.cmake"
cat >>"$boards/RPI_PICO_PPP/mpconfigboard.h" <<'SETTINGS'
#define MICROPY_PY_NETWORK (1)
#define MICROPY_PY_NETWORK_PPP_LWIP (1)
SETTINGS

# Of the libraries only those for the RP2040 and the RP2350: with all of them it is 2 GB more.
for package in "$work"/compiler/files/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$folder" --exclude='*/thumb/v7*' --exclude='*/thumb/v8-a*' \
        --exclude='*/thumb/v8.1*' --exclude='*/thumb/nofp*' --exclude='*/arm/v*' --exclude='./usr/share/*'
done
# As their packages do when they are installed.
ln -s newlib "$folder/usr/lib/arm-none-eabi/lib"
ln -s ../../include/newlib "$folder/usr/lib/arm-none-eabi/include"

for package in "$work"/sdk/archives/*.deb; do
    dpkg-deb --extract "$package" "$folder/picotool"
done
mkdir -p "$folder/usr/lib/cmake"
mv "$folder/picotool/usr/lib/cmake/picotool" "$folder/usr/lib/cmake/"
cat >"$folder/usr/bin/picotool" <<'START'
#!/bin/sh
root=$(dirname "$0")/../../picotool/usr
libraries=$root/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/bin/picotool" "$@"
START
chmod +x "$folder/usr/bin/picotool"

"$folder/usr/bin/picotool" version >/dev/null || cannot "picotool does not run on this kernel"
echo 'int main(void) { return 0; }' |
    "$folder/usr/bin/arm-none-eabi-gcc" -mcpu=cortex-m0plus -mthumb --specs=nosys.specs -x c -o "$work/a.out" - ||
    cannot "its compiler does not run here: apt-get install gcc brings the libraries that it needs"
# The folder counts as filled once the tree is there.
touch "$tree"
mv "$tree" "$folder/micropython"
