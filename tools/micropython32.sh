#!/bin/sh
# Unpacks a 32-bit MicroPython with the libraries it needs into one folder. Nothing is installed and no setting of this
# machine is changed: apt-get works here with a configuration, package lists and an (empty) package database of its own.
#
# usage: micropython32.sh FOLDER      afterwards FOLDER/micropython runs
set -eu

cannot() {
    echo "umqtt_full: no 32-bit MicroPython: $1" >&2
    exit 1
}

[ $# -eq 1 ] || cannot "usage: micropython32.sh FOLDER"
[ "$(uname -sm)" = "Linux x86_64" ] || cannot "only Linux on x86-64 can run it, this is $(uname -sm)"
for tool in apt-get dpkg-deb; do
    command -v $tool >/dev/null || cannot "it comes as Debian packages, and $tool is missing here"
done

# apt-get itself says where its sources lie, in whichever style they are written.
mirror=$(apt-get update --print-uris | sed -n "s,^'\(.*/debian\)/dists/.*,\1,p" | head -n 1)
[ -n "$mirror" ] || cannot "this machine's apt sources name no Debian mirror"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r $keys ] || cannot "$keys is missing: apt-get install debian-archive-keyring"

mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$folder/work
rm -rf "$work" "$folder/root" "$folder/micropython"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/sources" "$folder/root"
: >"$work/status"
trap 'rm -rf "$work"' EXIT

# Testing comes with 1.26 or newer, stable does not; sid stands in while testing is without it.
cat >"$work/sources/debian.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: testing sid
Components: main
Architectures: i386
Signed-By: $keys
SOURCES

private_apt_get() {
    apt-get -qq \
        -o Dir::Etc::SourceList=/dev/null \
        -o Dir::Etc::SourceParts="$work/sources" \
        -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State::Lists="$work/lists" \
        -o Dir::State::Status="$work/status" \
        -o Dir::Cache::Archives="$work/archives" \
        -o Dir::Cache::PkgCache= \
        -o Dir::Cache::SrcPkgCache= \
        -o APT::Architecture=i386 \
        -o APT::Architectures=i386 \
        -o APT::Sandbox::User="$(id -un)" \
        "$@"
}

echo "umqtt_full: fetching a 32-bit MicroPython into $1, once"
private_apt_get update || cannot "the package lists could not be fetched from $mirror"
private_apt_get install --download-only --yes --no-install-recommends micropython >/dev/null ||
    cannot "its packages could not be fetched from $mirror"
for package in "$work"/archives/*.deb; do
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
