#!/bin/sh
# Install Debian packages, as root or with sudo; if that is impossible, name the missing packages.
set -eu

fail() {
    echo "Missing: $*. $reason; install them by hand and try again." >&2
    exit 1
}

if ! command -v apt-get >/dev/null; then
    reason="The names are those of Debian packages, but apt-get was not found"
    fail "$@"
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
    sudo="sudo -n"
    if ! $sudo true 2>/dev/null; then
        reason="Root is required: sudo apt-get install $*"
        fail "$@"
    fi
fi
echo "Installing $*"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
