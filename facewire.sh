#!/bin/bash
# Facewire from a checkout: sets up what a command needs, shows each step, then runs it. Quick the second time.
#
#   ./facewire.sh demo                        both daemons on this machine, real sockets, a picture at the end
#   ./facewire.sh test [pytest arguments]     ruff, mypy and the tests with coverage
#   ./facewire.sh install encoder [PROFILE]   this machine becomes a camera device (systemd service)
#   ./facewire.sh install decoder [PROFILE]   this machine becomes a host that shows
#   ./facewire.sh setup [dev]                 the set-up alone; dev: for tests and training as well
#   ./facewire.sh lock                        renews the requirements*.lock files (needs uv)
#   ./facewire.sh export train|onnx|...       facewire-export
#   ./facewire.sh COMMAND ...                 any other command of facewire, such as compress or doctor
#
# FACEWIRE_PYTHON  Python 3.10-3.12 that the virtual environment is made with (default /usr/bin/python3, the
#                  distribution's own, because GStreamer's bindings belong to it)
# FACEWIRE_NO_APT=1    never call apt; say what is missing and go on
# FACEWIRE_NO_TORCH=1  test without torch; the tests of training and export are skipped
set -euo pipefail
umask 022

root=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
venv=$root/.venv
python=${FACEWIRE_PYTHON:-/usr/bin/python3}
prefix=/opt/facewire

apt_runtime=(
    python3 python3-venv python3-gi python3-systemd libgl1
    gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-rtsp-server-1.0
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    gstreamer1.0-x gstreamer1.0-gl
)
apt_dev=(ffmpeg xvfb)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'facewire.sh: %s\n' "$*" >&2; exit 1; }
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else return 1; fi
}

# apt packages that are missing, installed in one go.
need_apt() {
    local missing=() name
    command -v dpkg-query >/dev/null || { say "no dpkg here; GStreamer with its Python bindings must be there already"; return 0; }
    local there
    there=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        case $'\n'$there$'\n' in *$'\n'"$name installed"$'\n'*) ;; *) missing+=("$name") ;; esac
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ -n "${FACEWIRE_NO_APT:-}" ]; then say "not installed (FACEWIRE_NO_APT): ${missing[*]}"; return 0; fi
    say "apt: ${missing[*]}"
    as_root apt-get update -qq >&2 || die "apt-get update failed (root or sudo is needed, and the network)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" >&2 ||
        die "apt could not install: ${missing[*]}"
}

# The virtual environment; one that is already there is taken over as it is.
need_venv() {
    if [ ! -e "$venv/bin/python" ]; then
        "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null ||
            die "$python is not Python 3.10-3.12; name one with FACEWIRE_PYTHON=/path/to/python3.11"
        say "virtual environment: .venv ($("$python" -V))"
        "$python" -m venv --system-site-packages "$venv" >&2 || die "python -m venv failed; apt install python3-venv"
    fi
    "$venv/bin/python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null ||
        die ".venv does not run with Python 3.10-3.12 on this machine; move it away and call again"
    if grep -q '^include-system-site-packages = false' "$venv/pyvenv.cfg"; then
        say "virtual environment: letting it see the distribution's packages (GStreamer's bindings)"
        sed -i 's/^include-system-site-packages = false/include-system-site-packages = true/' "$venv/pyvenv.cfg"
    fi
}

# stamped NAME FILE... -- COMMAND...: runs the command unless it succeeded before with the same files and Python.
stamped() {
    local stamp=$venv/.facewire-$1 state; shift
    local files=()
    while [ "$1" != -- ]; do files+=("$1"); shift; done
    shift
    state=$({ echo "$root"; "$venv/bin/python" -VV; cat "${files[@]}"; } | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && return 0
    "$@" || return
    echo "$state" >"$stamp"
}

pip() {
    # Names what it fetches, keeps silent about what is there.
    "$venv/bin/python" -m pip --disable-pip-version-check "$@" 2>&1 |
        { grep -v -e '^Requirement already satisfied' -e '^Ignoring ' -e '^Looking in' || true; } >&2
}
# --no-deps: the lock names everything, and leaves out what mediapipe asks for and never imports.
install_lock() { say "Python packages: $1"; pip install --no-deps -r "$root/$1"; }
install_self() { say "Facewire itself, linked into .venv"; pip install -q --no-deps -e "$root"; }
install_torch() {
    "$venv/bin/python" -c 'import torch' 2>/dev/null && return 0
    say "torch 2.13.0 (FACEWIRE_NO_TORCH=1 does without)"
    local with=(install -c "$root/requirements.lock" -c "$root/requirements-dev.lock")
    # The build without CUDA where an index has it (PIP_EXTRA_INDEX_URL), else the index's own.
    pip "${with[@]}" 'torch==2.13.0+cpu' || pip "${with[@]}" torch==2.13.0
}

# setup runtime|dev
setup() {
    exec 9<"$root/facewire.sh"
    flock 9 # two set-ups at once would tread on each other
    local apt=("${apt_runtime[@]}")
    [ "$1" = dev ] && apt+=("${apt_dev[@]}")
    need_apt "${apt[@]}"
    need_venv
    stamped runtime "$root/requirements.lock" -- install_lock requirements.lock
    stamped self "$root/pyproject.toml" -- install_self
    if [ "$1" = dev ]; then
        stamped dev "$root/requirements.lock" "$root/requirements-dev.lock" -- install_lock requirements-dev.lock
        if [ -z "${FACEWIRE_NO_TORCH:-}" ]; then
            stamped torch /dev/null -- install_torch || say "torch could not be installed: what needs it is skipped"
        fi
    fi
    exec 9<&-
}

run_tests() {
    local failed=0
    cd "$root"
    say "ruff"; "$venv/bin/python" -m ruff check . || failed=1
    say "mypy"; "$venv/bin/python" -m mypy || failed=1
    say "pytest"; "$venv/bin/python" -m pytest --cov --cov-report=term "$@" || failed=1
    [ $failed -eq 0 ] && say "all green" || say "not green"
    return $failed
}

# install_service encoder|decoder [profile]: program to /opt/facewire, units to /etc/systemd, settings to /etc/facewire.
install_service() {
    local role=${1:-} profile=${2:-vsat}
    case $role in encoder | decoder) ;; *) die "install what? ./facewire.sh install encoder|decoder [PROFILE]" ;; esac
    [ -f "$root/configs/$role-$profile.toml" ] ||
        die "no configs/$role-$profile.toml; profiles: $(cd "$root/configs" && ls "$role"-*.toml | sed "s/$role-//; s/\.toml//" | tr '\n' ' ')"
    as_root true || die "root or sudo is needed to install a service"
    if [ "$root" != "$prefix" ]; then
        say "program: $prefix"
        as_root install -d "$prefix"
        local part
        for part in daemon export models_onnx configs systemd; do
            [ -d "$root/$part" ] || continue
            as_root rm -rf "$prefix/$part.new"
            as_root cp -r "$root/$part" "$prefix/$part.new"
            as_root rm -rf "${prefix:?}/$part"
            as_root mv "$prefix/$part.new" "$prefix/$part"
        done
        for part in pyproject.toml requirements.lock requirements-dev.lock README.md facewire.sh; do
            [ ! -f "$root/$part" ] || as_root install -m "$([ "$part" = facewire.sh ] && echo 755 || echo 644)" "$root/$part" "$prefix/$part"
        done
        as_root env ${FACEWIRE_PYTHON:+FACEWIRE_PYTHON="$FACEWIRE_PYTHON"} "$prefix/facewire.sh" setup
    else
        setup runtime
    fi
    # The services may not write here, so what they import is compiled now.
    as_root "$prefix/.venv/bin/python" -m compileall -q "$prefix/daemon" || true
    say "units, user, device rules"
    as_root install -D -m 644 -t /etc/systemd/system "$root/systemd/facewire-encoder.service" \
        "$root/systemd/facewire-decoder.service" "$root/systemd/facewire-decoder@.service"
    as_root install -D -m 644 "$root/systemd/facewire.sysusers" /etc/sysusers.d/facewire.conf
    as_root install -D -m 644 "$root/systemd/facewire.tmpfiles" /etc/tmpfiles.d/facewire.conf
    as_root install -D -m 644 "$root/systemd/60-facewire.rules" /etc/udev/rules.d/60-facewire.rules
    as_root install -D -m 644 "$root/systemd/facewire.modules" /etc/modules-load.d/facewire.conf
    as_root modprobe -q tcp_bbr || true # it may be built in, or not be there
    as_root install -D -m 644 "$root/systemd/facewire.sysctl" /etc/sysctl.d/60-facewire.conf
    as_root sysctl -q -p /etc/sysctl.d/60-facewire.conf || say "TCP stays as it is: reconnecting takes a bit longer"
    as_root systemd-sysusers facewire.conf
    as_root systemd-tmpfiles --create facewire.conf
    if as_root test -e "/etc/facewire/$role.toml"; then
        say "settings: /etc/facewire/$role.toml stays as it is"
    else
        say "settings: /etc/facewire/$role.toml (from configs/$role-$profile.toml)"
        as_root install -D -m 640 -g facewire "$root/configs/$role-$profile.toml" "/etc/facewire/$role.toml"
    fi
    if [ "$role" = encoder ] && ! as_root test -e /etc/facewire/keys/encoder.key_secret; then
        say "keys: /etc/facewire/keys; a decoder's host needs decoder.key_secret and encoder.key of them"
        as_root "$prefix/.venv/bin/facewire" keygen /etc/facewire/keys >/dev/null
        as_root chgrp -R facewire /etc/facewire/keys
        as_root chmod 750 /etc/facewire/keys
        as_root chmod 640 /etc/facewire/keys/encoder.key_secret
    elif [ "$role" = decoder ] && ! as_root test -e /etc/facewire/keys/decoder.key_secret; then
        say "keys: copy decoder.key_secret and encoder.key from the camera device to /etc/facewire/keys, then:"
        say "    chgrp facewire /etc/facewire/keys/*; chmod 640 /etc/facewire/keys/decoder.key_secret"
    fi
    if [ -d /run/systemd/system ]; then
        as_root udevadm control --reload || true
        as_root systemctl daemon-reload
        as_root systemctl enable "facewire-$role.service"
        as_root systemctl restart "facewire-$role.service" ||
            die "the service does not start; see: journalctl -u facewire-$role"
        say "runs: systemctl status facewire-$role; journalctl -fu facewire-$role"
    else
        say "systemd does not run here: nothing was started"
    fi
}

# Renews the locks: one resolution for Python 3.10-3.12 on x86-64 and aarch64 (see [tool.uv] in pyproject.toml).
lock() {
    command -v uv >/dev/null || die "uv is needed to renew the locks: pip install uv"
    cd "$root"
    local work; work=$(mktemp -d); trap 'rm -rf "$work"' RETURN
    resolve() {
        uv pip compile -q --universal --python-version 3.10 --no-header --no-annotate "$@" pyproject.toml |
            sed -E "s/ and \(\(platform_machine == 'aarch64' and sys_platform == 'linux'\) or \(platform_machine == 'x86_64' and sys_platform == 'linux'\)\)//
                    s/ and sys_platform == 'linux'//g; s/ and implementation_name == 'cpython'//
                    s/python_full_version >= '3.11' and python_full_version < '3.13'/python_full_version >= '3.11'/
                    s/ ; python_full_version < '3.13'$//; s/python_full_version < '3.13' and //
                    s/ ; \(\(.*platform_python_implementation != 'PyPy'\)\)$//" | sort
    }
    head_of() { printf '# %s\n# Python 3.10-3.12, Linux on x86-64 and aarch64. Renewed by `./facewire.sh lock`.\n# Install with `pip install --no-deps -r %s`.\n' "$1" "$2"; }
    resolve --extra encoder --extra decoder >"$work/runtime"
    resolve --extra encoder --extra decoder --extra export --extra dev -c "$work/runtime" >"$work/dev"
    resolve --extra picamera --extra systemd --extra gpu -c "$work/runtime" >"$work/hardware"
    { head_of "What both daemons need." requirements.lock; cat "$work/runtime"; } >requirements.lock
    { head_of "What tests, training and export need beside requirements.lock; torch comes apart (facewire.sh)." requirements-dev.lock
      comm -13 "$work/runtime" "$work/dev"; } >requirements-dev.lock
    { head_of "What particular hardware needs beside requirements.lock; see the extras in pyproject.toml." requirements-hardware.lock
      comm -13 "$work/runtime" "$work/hardware"; } >requirements-hardware.lock
}

command=${1:-help}
[ $# -gt 0 ] && shift
case $command in
    help | -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" ;;
    test) setup dev; run_tests "$@" ;;
    setup) setup "$([ "${1:-}" = dev ] && echo dev || echo runtime)"; say "ready: .venv/bin/facewire" ;;
    install) install_service "$@" ;;
    lock) lock ;;
    export) setup dev; exec "$venv/bin/facewire-export" "$@" ;;
    *) setup runtime; exec "$venv/bin/facewire" "$command" "$@" ;;
esac
