# For scripts that unpack Debian's packages into a folder of their own, which read this file. Nothing is installed and no
# setting of this machine is changed: apt-get works here with configurations, package lists and (empty) package databases
# of its own.
#
# Such a script sets `what`, that which it fetches, and `work`, a folder that is there until it ends.

cannot() {
    echo "umqtt_full: no $what: $1" >&2
    exit 1
}

[ "$(uname -sm)" = "Linux x86_64" ] || cannot "only Linux on x86-64 can run it, this is $(uname -sm)"
for tool in apt-get dpkg-deb; do
    command -v $tool >/dev/null || cannot "it comes as Debian packages, and $tool is missing here"
done

# apt-get itself says where its sources lie, in whichever style they are written.
mirror=$(apt-get update --print-uris | sed -n "s,^'\(.*/debian\)/dists/.*,\1,p" | head -n 1)
[ -n "$mirror" ] || cannot "this machine's apt sources name no Debian mirror"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r $keys ] || cannot "$keys is missing: apt-get install debian-archive-keyring"

# private NAME ARCHITECTURE SUITES TYPES: make what apt-get needs for these suites, in $work/NAME. What is downloaded
# comes into its folder `files`, and what is installed (--download-only) into its folder `archives`.
private() {
    mkdir -p "$work/$1/lists/partial" "$work/$1/archives/partial" "$work/$1/sources" "$work/$1/files"
    : >"$work/$1/status"
    cat >"$work/$1/sources/debian.sources" <<SOURCES
Types: $4
URIs: $mirror
Suites: $3
Components: main
Architectures: $2
Signed-By: $keys
SOURCES
    echo "APT::Architecture \"$2\"; APT::Architectures { \"$2\"; };" >"$work/$1/apt.conf"
    private_apt_get "$1" update || cannot "the package lists of $3 could not be fetched from $mirror"
}

# private_apt_get NAME ARGUMENTS: apt-get with that.
private_apt_get() {
    private=$work/$1
    shift
    (cd "$private/files" && APT_CONFIG="$private/apt.conf" apt-get -qq \
        -o Dir::Etc::SourceList=/dev/null \
        -o Dir::Etc::SourceParts="$private/sources" \
        -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State::Lists="$private/lists" \
        -o Dir::State::Status="$private/status" \
        -o Dir::Cache::Archives="$private/archives" \
        -o Dir::Cache::PkgCache= \
        -o Dir::Cache::SrcPkgCache= \
        -o Acquire::Languages=none \
        -o APT::Sandbox::User="$(id -un)" \
        "$@" >/dev/null)
}
