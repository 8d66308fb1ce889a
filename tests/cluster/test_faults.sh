# What networks and machines do: a host is lost, a cable comes loose. The run ends, or goes on; what comes of it is the same.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/cluster/hosts.sh"
hosts_need_namespaces
. "$SOURCE/tests/support/train.sh"
. "$SOURCE/tests/cluster/mpirun.sh"
hosts_up head node1 node2 node3 node4
cd "$work" || exit # the job script leaves a note for the launcher in this folder

more="--max-steps 800 --save-every 20" # enough that a fast machine is not done before it is disturbed
check 0 train "$work/one" $more

# ended STATUS...: demands one of these of the run in the background.
ended() {
    status=0
    wait $pid || status=$?
    checks=$((checks + 1))
    # Open MPI 5 says that it has lost a host, and ends with status 0: it is the script that notices.
    if [ $status = 1 ] && [[ " $* " = *" 205 "* ]] && grep -q '^PRTE has lost communication' "$work/err"; then
        says err '^mpirun ended with status 0, but mpilora did not come to its end'
        status=205
    fi
    case " $* " in *" $status "*) ;; *) fail "status $status, not $*: $(cat "$work/err")" ;; esac
}

no_rank_on() { [ -z "$(on_host "$1" "$SOURCE/tests/support/rank_pids.sh")" ]; }

# A host is switched off. The run ends, and goes on from its last checkpoint on those that are left; asked to stop, it does
# so on all hosts, and goes on with fewer.
begin_over node1,node2,node3,node4 "$work/lost" 60 $more
host_kill node3
ended 205 9 137 # mpirun lost the host; or first saw its rank killed
begin_over node1,node2,node4 "$work/lost" 400 $more
says err '^going on from .*step-00000'
kill -TERM "$(pgrep -P $pid)"
ended 75
says err 'saved; the same command goes on from here'
check 0 train_over node2,node4 "$work/lost" $more
says err '^going on from .*step-00000'
same_run "$work/one" "$work/lost"

# A cable is pulled and put back: the run waits, and goes on.
begin_over node1,node2 "$work/loose" 60 $more --rank-timeout 60
link_cut node2
sleep 1
link_join node2
ended 0
same_run "$work/one" "$work/loose"

# A cable is pulled for good: nobody waits for ever, on neither side.
export {OMPI,PRTE}_MCA_oob_tcp_keepalive_{time=2,intvl=1,probes=2}
begin_over node1,node2 "$work/cut" 60 $more
link_cut node2
ended 205
until_true $$ no_rank_on node1
until_true $$ no_rank_on node2
link_join node2
check 0 train_over node1,node2 "$work/cut" $more
same_run "$work/one" "$work/cut"

# The same, and the ranks notice first: mpirun would wait for the host that it has lost, and is ended.
export {OMPI,PRTE}_MCA_oob_tcp_keepalive_time=300 LEAVE_GRACE=2
begin_over node1,node2 "$work/left" 60 $more --rank-timeout 2
begun=$SECONDS
link_cut node2
ended 75
[ $((SECONDS - begun)) -lt 30 ] || fail "took $((SECONDS - begun)) s"
says err 'rank [01] on node[12] has waited for'
says err 'the ranks have left, but not mpirun: ending it$'
says err 'saved; the same command goes on from here'
until_true $$ no_rank_on node1
until_true $$ no_rank_on node2
[ -z "$(ls -A | grep '^.mpilora-left')" ] || fail "a note is left over"
link_join node2
check 0 train_over node1,node2 "$work/left" $more
same_run "$work/one" "$work/left"
passed
