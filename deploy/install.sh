#!/bin/sh
# Installs swarmlet on this machine: a virtual environment, a link in the path, a systemd unit. Asks nothing, says
# what it did, and may be run again (that updates). With DESTDIR set it writes below that and starts nothing.
set -eu

usage() {
  cat <<'END'
usage: sh install.sh [--token-file FILE] [--wheels DIR] [--coordinator] [--docker]
       sh install.sh --uninstall

  --token-file FILE  the join token; it is copied to /etc/swarmlet/token, for root alone;  -  reads standard input
  --wheels DIR       take swarmlet and all it needs from this folder, without a network; else from PyPI
  --coordinator      install the cluster's side too, and its unit stratoswarm.service
  --docker           let the agent use Docker, for workloads that are containers; it then runs as root
  --uninstall        remove what was installed; the identity and the settings stay, and it says where
END
}

say() { printf 'install: %s\n' "$1"; }
fail() { printf 'install: %s\n  next: %s\n' "$1" "$2" >&2; exit 1; }

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
venv=/usr/local/lib/swarmlet
units=/etc/systemd/system
token='' wheels='' coordinator='' docker='' uninstall=''

while [ $# -gt 0 ]; do
  case $1 in
    --token-file) token=${2:?"--token-file needs a file"}; shift ;;
    --wheels) wheels=${2:?"--wheels needs a folder"}; shift ;;
    --coordinator) coordinator=yes ;;
    --docker) docker=yes ;;
    --uninstall) uninstall=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail 'this needs root' "sudo sh $0"
# Where systemd runs, and only when this system is the one that is installed to.
managed=''
if [ -z "$root" ] && [ -d /run/systemd/system ]; then managed=yes; fi

if [ -n "$uninstall" ]; then
  for unit in swarmlet stratoswarm; do
    [ -z "$managed" ] || systemctl disable --quiet --now "$unit.service" 2>/dev/null || true
    rm -rf "$root$units/$unit.service.d"
    rm -f "$root$units/$unit.service" "$root/usr/local/bin/$unit"
  done
  rm -rf "$root$venv"
  [ -z "$managed" ] || { systemctl daemon-reload; systemctl reset-failed swarmlet stratoswarm 2>/dev/null || true; }
  say "removed $venv, the links in /usr/local/bin and the units"
  say 'kept, if they were there: /etc/swarmlet (settings), and the identities in /var/lib/swarmlet and'
  say '  /var/lib/stratoswarm, which are links into /var/lib/private'
  exit 0
fi

# ---- the program

[ -z "$wheels" ] || [ -d "$wheels" ] || fail "there is no folder $wheels" 'name one that holds wheels, or leave --wheels out'
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail 'Python 3.11 or newer is needed' 'apt-get install python3 python3-venv'
python3 -c 'import ensurepip' 2>/dev/null || fail 'this Python cannot make virtual environments' 'apt-get install python3-venv'
umask 022
mkdir -p "$root$venv" "$root/usr/local/bin" "$root$units"
python3 -m venv "$root$venv"
what=swarmlet${coordinator:+[coordinator]}
"$root$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade \
  ${wheels:+--no-index --find-links "$wheels"} "$what" ||
  fail "pip could not install $what" 'see what it said above; with --wheels everything must be in the folder'
say "installed $("$root$venv/bin/swarmlet" --version) in $venv from ${wheels:-PyPI}"

# ---- what starts it

add_unit() {
  ln -sfn "$venv/bin/$1" "$root/usr/local/bin/$1"
  cp "$here/$1.service" "$root$units/$1.service"
  chmod 644 "$root$units/$1.service"
  say "wrote $units/$1.service"
}
add_unit swarmlet
[ -z "$coordinator" ] || add_unit stratoswarm
if [ -n "$docker" ]; then
  mkdir -p "$root$units/swarmlet.service.d"
  cp "$here/containers.conf" "$root$units/swarmlet.service.d/"
  say "wrote $units/swarmlet.service.d/containers.conf: the agent runs as root and may use Docker"
fi
if [ -n "$token" ]; then
  mkdir -p "$root/etc/swarmlet"
  # Written whole before it has its name, and never readable by others.
  (umask 077 && cat -- "$token" >"$root/etc/swarmlet/token.new" && mv "$root/etc/swarmlet/token.new" "$root/etc/swarmlet/token")
  say 'wrote /etc/swarmlet/token, for root alone'
fi

if ! grep -qsw memory /sys/fs/cgroup/cgroup.controllers /proc/self/cgroup; then
  say 'the memory control group is off here: memory limits of workloads are not enforced; to put it on, add'
  say '  cgroup_enable=memory  to the line in /boot/firmware/cmdline.txt (Raspberry Pi) and restart'
fi
if [ -z "$managed" ]; then
  say "nothing was started${root:+ below $root}; by hand: $venv/bin/swarmlet join --token-file FILE"
  exit 0
fi
systemctl daemon-reload
if [ -n "$coordinator" ]; then
  systemctl enable --quiet stratoswarm.service
  systemctl restart stratoswarm.service
  say 'stratoswarm.service runs and starts at boot; invite devices by: stratoswarm cluster create-join-token'
fi
if [ -e /etc/swarmlet/token ] || [ -e /var/lib/swarmlet ]; then
  systemctl enable --quiet swarmlet.service
  systemctl restart swarmlet.service || fail 'the agent did not start' 'journalctl -u swarmlet'
  say 'swarmlet.service runs and starts at boot; look at it by: swarmlet status'
else
  say "the agent was not started, it has no token yet; next: sh $0 --token-file FILE"
fi
