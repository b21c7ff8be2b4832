#!/bin/sh
# Install Debian packages, as root or by sudo. Where that cannot be done, say what is missing.
set -eu

fail() {
    echo "Missing: $*. $reason; install it by hand and try again." >&2
    exit 1
}

if ! command -v apt-get >/dev/null; then
    reason="This is no Debian, where a package of this name has it"
    fail "$@"
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
    sudo="sudo -n"
    if ! $sudo true 2>/dev/null; then
        reason="It takes root: sudo apt-get install $*"
        fail "$@"
    fi
fi
echo "Installing $*"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
