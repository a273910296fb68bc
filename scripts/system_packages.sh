#!/bin/sh
# Installs Debian's packages for `browser` (its tests) or `compiler` (the native runner), where that
# can be done; else says so.
set -eu
missing=""
case "$1" in
browser)
    without="the browser tests will be skipped"
    command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
    fc-list :lang=ja 2>/dev/null | grep -q . || missing="$missing fonts-ipaexfont-gothic fontconfig"
    ;;
compiler)
    without="PyTorch will do what the native runner would, and more slowly"
    command -v "${CXX:-g++}" >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 \
        || command -v c++ >/dev/null 2>&1 || missing="g++"
    ;;
esac
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian packages: $missing" >&2
    # shellcheck disable=SC2086  # one word per package
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
fi
echo "Missing (install as root): $missing; $without." >&2
