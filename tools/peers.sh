#!/usr/bin/env bash
# Installs the programs that tests and benchmarks run against: real encoders, players and servers
# from Debian. Does nothing when all are there. Penstock itself needs none of them.
set -euo pipefail

packages=(
    ffmpeg                      # publishes and plays, RTMP and HTTP-FLV
    rtmpdump                    # plays by librtmp
    gstreamer1.0-tools          # publishes by rtmpsink (librtmp) and rtmp2sink (GStreamer's own)
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav
    nginx libnginx-mod-rtmp     # the server that benchmarks compare with
    gcc libc6-dev               # builds the load generator
    systemd                     # reads the service unit
    chromium                    # plays HLS by hls.js, as viewers' browsers do
)
# Debian's npm comes with hundreds of packages: one that is there already is taken.
command -v npm >/dev/null || packages+=(npm)
# From npm, as Debian has none; run in a test's browser. The play page has the same version's light build.
hls_js=hls.js@1.7.4

cd "$(dirname "$0")/.."

# Debian keeps nginx where ordinary users have no PATH.
PATH="$PATH:/usr/sbin:/sbin"

missing() {
    local command element
    for command in ffmpeg ffprobe rtmpdump gst-launch-1.0 gst-inspect-1.0 nginx gcc systemd-analyze chromium npm; do
        command -v "$command" >/dev/null || echo "$command"
    done
    if command -v gst-inspect-1.0 >/dev/null; then
        for element in videotestsrc flvmux rtmpsink rtmp2sink x264enc avenc_aac; do
            gst-inspect-1.0 --exists "$element" 2>/dev/null || echo "GStreamer's $element"
        done
    fi
    if command -v nginx >/dev/null && ! has_nginx_rtmp; then
        echo "nginx's rtmp module"
    fi
    if command -v gcc >/dev/null && ! echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1; then
        echo "C headers"
    fi
}

# A module of its own in Debian; built in elsewhere.
has_nginx_rtmp() {
    [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || nginx -V 2>&1 | grep -q rtmp
}

# One line, comma separated.
listed() {
    missing | paste -sd, - | sed 's/,/, /g'
}

# Debian starts and enables a service when it installs one; exit code 101 from this hook says no
# (Debian policy, invoke-rc.d). A hook that is there already, as in containers, stays.
forbid_service_starts() {
    local hook=/usr/sbin/policy-rc.d
    if [ ! -e "$hook" ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$hook"
        chmod +x "$hook"
    fi
}

install() {
    local had_nginx=yes
    command -v nginx >/dev/null || had_nginx=no
    forbid_service_starts
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends "${packages[@]}" >/dev/null
    # Nor at the next boot; an nginx that was in use before keeps its setting.
    if [ "$had_nginx" = no ] && [ -d /run/systemd/system ]; then
        systemctl disable --quiet nginx || true
    fi
}

install_hls_js() {
    grep -qs "\"version\": \"${hls_js#*@}\"" .peers/node_modules/hls.js/package.json && return
    echo "Installing $hls_js from npm, for the tests, into .peers ..."
    npm install --prefix .peers --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "$hls_js" >/dev/null
}

lacking="$(listed)"
if [ -z "$lacking" ]; then
    install_hls_js
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "The tests need what is not here: $lacking. (On Debian, this script installs it.)" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    {
        echo "The tests need what is not here: $lacking. Run:"
        echo "    sudo tools/peers.sh"
        echo "It installs, without starting any service: ${packages[*]}"
    } >&2
    exit 1
fi
echo "Installing from Debian, for the tests: $lacking ..."
install
lacking="$(listed)"
if [ -n "$lacking" ]; then
    echo "Still not here after installing: $lacking" >&2
    exit 1
fi
install_hls_js
