#!/bin/sh
# Unpacks a 32-bit MicroPython with the libraries it needs into one folder. Nothing is installed (debian.sh).
#
# usage: micropython32.sh FOLDER      afterwards FOLDER/micropython runs
set -eu
what="32-bit MicroPython"
. "${0%/*}/debian.sh"

[ $# -eq 1 ] || cannot "usage: micropython32.sh FOLDER"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$folder/work
rm -rf "$work" "$folder/root" "$folder/micropython"
mkdir -p "$folder/root"
trap 'rm -rf "$work"' EXIT

echo "umqtt_full: fetching a 32-bit MicroPython into $1, once"
# Testing comes with 1.26 or newer, stable does not; sid stands in while testing is without it.
private system i386 "testing sid" deb
private_apt_get system install --download-only --yes --no-install-recommends micropython ||
    cannot "its packages could not be fetched from $mirror"
for package in "$work"/system/archives/*.deb; do
    dpkg-deb --extract "$package" "$folder/root"
done

cat >"$work/micropython" <<'START'
#!/bin/sh
root=$(dirname "$0")/root
libraries=$root/usr/lib/i386-linux-gnu
exec "$libraries/ld-linux.so.2" --library-path "$libraries" "$root/usr/bin/micropython" "$@"
START
chmod +x "$work/micropython"
# The folder counts as filled once its `micropython` is there: only after it has been seen to run.
mv "$work/micropython" "$folder/starting"
"$folder/starting" -c 'import sys; sys.exit(0 if sys.implementation[1] >= (1, 26) and sys.maxsize < 1 << 31 else 1)' ||
    cannot "this kernel does not run 32-bit programs, or $mirror has none of 1.26 or newer"
mv "$folder/starting" "$folder/micropython"
