# shellcheck shell=bash
# What the scripts share: where things live, numbered steps with their times, checked files, Debian packages.
# Sourced, never run. The sourcing script has set -euo pipefail.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/podling
# shellcheck disable=SC2034  # for those who source this
TOOLCHAIN=$(sed -n 's/^channel *= *"\(.*\)"$/\1/p' "$ROOT/rust-toolchain.toml")
# mke2fs, depmod and ip live in sbin, which an ordinary user's PATH lacks on Debian; rustup's own default is ~/.cargo/bin.
export PATH=$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin
umask 022

# One folder of logs for a run, shared with the scripts that it starts; the last twenty runs are kept.
if [ -z "${PODLING_LOGS:-}" ]; then
    PODLING_LOGS=$CACHE/logs/$(date +%Y%m%d-%H%M%S)-$(basename "$0")-$$
    export PODLING_LOGS
    mkdir -p "$PODLING_LOGS"
    find "$CACHE/logs" -mindepth 1 -maxdepth 1 | sort -r | tail -n +21 | xargs -r rm -rf
fi

# ---- saying what happens -------------------------------------------------------------------------------------------

die() { printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
note() { printf '     %s\n' "$*"; }

# seconds_since START_NS: elapsed time with one decimal.
seconds_since() {
    local tenths=$((($(date +%s%N) - $1) / 100000000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# step TEXT COMMAND…: one long step. Shows its number, what it does and how long it takes; what the command prints goes
# to a log file, whose end is shown if the command fails. The command runs in a subshell of its own, with errexit.
step() {
    local text=$1 number start log pid status=0
    shift
    number=$(($(find "$PODLING_LOGS" -name '*.log' | wc -l) + 1))
    log=$PODLING_LOGS/$(printf %02d "$number")-$(basename "$0").log
    start=$(date +%s%N)
    printf '[%2d] %s … ' "$number" "$text"
    (set -euo pipefail; "$@") </dev/null >"$log" 2>&1 &
    pid=$!
    if [ -t 1 ]; then
        while kill -0 "$pid" 2>/dev/null; do
            printf '\r[%2d] %s … %s s ' "$number" "$text" "$(seconds_since "$start")"
            sleep 0.5
        done
        printf '\r[%2d] %s … ' "$number" "$text"
    fi
    wait "$pid" || status=$?
    if [ "$status" = 0 ]; then
        printf '%s s    \n' "$(seconds_since "$start")"
    else
        printf 'failed after %s s\n' "$(seconds_since "$start")"
        tail -n 40 "$log" | sed 's/^/     | /' >&2
        die "$text: failed. The whole log: $log"
    fi
}

# ---- who runs ------------------------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Asks for sudo's password now, so that a later step, whose output is hidden, does not.
need_root() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null || die "needs root: $1. Run it as root, or install sudo."
    sudo -n true 2>/dev/null || { echo "Root is needed to $1."; sudo -v; }
}

# locked NAME COMMAND…: one run at a time per name; a second one waits, and says so.
locked() {
    local lock=$CACHE/$1.lock
    shift
    (
        exec 9>"$lock"
        flock -n 9 || { echo "waiting for another run that holds $lock"; flock 9; }
        "$@"
    )
}

# ---- files that are checked before use -------------------------------------------------------------------------------

# seal DIR: records the hash of every file below DIR, beside it. sealed DIR: is every file there still what it was?
seal() {
    (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$1.sha256.new"
    mv "$1.sha256.new" "$1.sha256"
}
sealed() {
    [ -d "$1" ] && [ -s "$1.sha256" ] && (cd "$1" && sha256sum --quiet --strict -c "$1.sha256") >/dev/null 2>&1
}

# publish NEW DIR: puts a finished directory in its place in one rename; whatever was there goes.
publish() {
    seal "$1"
    rm -rf "$2" "$2.sha256"
    mv "$1" "$2"
    mv "$1.sha256" "$2.sha256"
}

# ---- Debian ----------------------------------------------------------------------------------------------------------

# The apt source that scripts/setup may add.
# shellcheck disable=SC2034  # for those who source this
BACKPORTS=/etc/apt/sources.list.d/podling-backports.sources

suite() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# mirror SUITE: the address this machine's own apt sources name for SUITE (both forms: one-line .list and deb822 .sources).
mirror() {
    local found
    found=$(
        shopt -s nullglob
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
            [ -f "$file" ] && sed -nE 's/#.*//; s/^deb +(\[[^]]*\] *)?([^ ]+) +([^ ]+) .*/\3 \2/p' "$file"
        done
        for file in /etc/apt/sources.list.d/*.sources; do
            # A stanza ends at an empty line; awk reads it as one record.
            awk -v RS= -F'\n' '{
                uris = suites = ""; on = 1
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^URIs:/)    { uris = $i;   sub(/^URIs: */, "", uris) }
                    if ($i ~ /^Suites:/)  { suites = $i; sub(/^Suites: */, "", suites) }
                    if ($i ~ /^Enabled: *no/) on = 0
                }
                split(uris, u, " "); n = split(suites, s, " ")
                if (on) for (i = 1; i <= n; i++) print s[i], u[1]
            }' "$file"
        done
    )
    # mirror+file: names a local list of mirrors; apt understands it, so it is passed on as it is.
    awk -v suite="$1" '$1 == suite { print $2; exit }' <<<"$found"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# missing PACKAGE…: those that are not installed.
missing() {
    local package
    for package in "$@"; do installed "$package" || echo "$package"; done
}
