#!/usr/bin/env bash
# agent.sh HOST COMMAND...: runs it on a pretended host (hosts.sh), as ssh would; Open MPI takes it for ssh.
host=$1
shift
init=$(cat "${HOSTS:?}/$host.init") || exit 255
exec nsenter -t "$init" -n -u -m -p --wd="$PWD" -- bash -c "$*"
