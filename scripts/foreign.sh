# shellcheck shell=bash
# Debian packages of another architecture, unpacked rather than installed. Sourced after lib.sh.
# apt gets a state of its own under the cache, so the machine's dpkg and apt are not touched, and it checks every package
# against the archive's signed hashes. The mirror is the one this machine's own apt sources name.

# foreign ARCH SUITE COMMAND…: apt-get or apt-cache as a machine of that architecture and suite would run it.
foreign() {
    local arch=$1 suite=$2 tool=$3 home uri base=${2%-backports}
    shift 3
    home=$CACHE/apt/$suite-$arch
    # The firmware of boards is in non-free-firmware. An index from before it was asked for does not know it.
    grep -qs non-free-firmware "$home/sources/debian.sources" || rm -f "$home/updated"
    if [ ! -e "$home/updated" ]; then
        uri=$(mirror "$suite")
        uri=${uri:-$(mirror "$base")}
        [ -n "$uri" ] || { echo "no apt source on this machine names the suite $base" >&2; return 1; }
        mkdir -p "$home"/{state/lists/partial,cache/archives/partial,sources,preferences}
        : >"$home/status"
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main non-free-firmware\nSigned-By: %s\n' \
            "$uri" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$home/sources/debian.sources"
    fi
    local options=(
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root
        -o Dir::State="$home/state" -o Dir::State::status="$home/status" -o Dir::Cache="$home/cache"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$home/sources" -o Dir::Etc::preferencesparts="$home/preferences"
    )
    if [ ! -e "$home/updated" ]; then
        apt-get "${options[@]}" -q update >&2
        touch "$home/updated"
    fi
    "$tool" "${options[@]}" "$@"
}

# foreign_download ARCH SUITE DIR PACKAGE…: the newest version of each package, into DIR. The index may be older than the
# archive (a version can have gone since), so a failure is tried again with a new index.
foreign_download() {
    local arch=$1 suite=$2 dir=$3
    shift 3
    (cd "$dir" && foreign "$arch" "$suite" apt-get -q download "$@") >&2 && return
    rm -f "$CACHE/apt/$suite-$arch/updated"
    (cd "$dir" && foreign "$arch" "$suite" apt-get -q download "$@") >&2
}
