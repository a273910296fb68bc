#!/bin/sh
# Installs Debian's packages for `browser` (its tests), `compiler` (the native runner) or `sandbox`
# (code that models write), where that can be done; else says so.
set -eu
missing=""
liked="" # not every system has it, and all goes without
case "$1" in
browser)
    without="the browser tests will be skipped"
    command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
    fc-list :lang=ja 2>/dev/null | grep -q . || missing="$missing fonts-ipaexfont-gothic fontconfig"
    # The same engine without windows: a page opens in two thirds of the time.
    command -v chromium-headless-shell >/dev/null 2>&1 || liked="chromium-headless-shell"
    ;;
sandbox)
    without="code that models write will not be run"
    command -v bwrap >/dev/null 2>&1 || missing="bubblewrap"
    ;;
compiler)
    without="PyTorch will do what the native runner would, and more slowly"
    command -v "${CXX:-g++}" >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 \
        || command -v c++ >/dev/null 2>&1 || missing="g++"
    ;;
esac

install() {
    echo "Installing Debian packages: $*" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # shellcheck disable=SC2086  # one word per package
    [ -z "$missing" ] || { apt-get update -qq && install $missing && missing=""; } || true
    [ -z "$liked" ] || ! apt-cache show "$liked" >/dev/null 2>&1 || install "$liked" || true
fi
[ -z "$missing" ] || echo "Missing (install as root): $missing; $without." >&2
