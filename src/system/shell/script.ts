/**
 * What drives shells from within a guest: a script for any POSIX shell, so that nothing has
 * to be in the guest's file system. Typed into the console once, it stays as three kinds of
 * process, each on ports of its own, which nobody else can open meanwhile:
 *
 *   agent    one: starts keepers, and kills; its port has lines both ways
 *     keeper   one for each shell: starts the shell again when it has ended, and says how it ended
 *       shell    executes commands, leader of its own session and process group
 *
 * On the agent's port, from the host:     open SLOT COMMANDS OUTPUT   kill GROUP
 *                         from the guest:   ready   keeper SLOT GROUP   gone SLOT GROUP (the keeper has ended)
 *                                           started SLOT GROUP   ended SLOT STATUS
 * On a shell's port of commands:            lines with + before them, a line with a dot;
 *                         from the guest:   the exit status
 *                         from the host:    =MARK
 * On its port of output:                    what the command wrote, then MARK
 *
 * A command and what it starts have none of these descriptors: they can write output, and
 * nothing that would be taken for a status or for the end. MARK is random, and comes when
 * the command has ended: while it runs, nothing in the guest knows it.
 *
 * A command can name its functions as it likes. Only special builtins (unset, eval, exit,
 * break) can have no function before them; the others are called by `command`, of which the
 * shell first unsets the function. After `continue` the shell goes on with the condition of
 * its loop, so that is where it says how the command ended.
 */
export const SCRIPT = `case $2 in
agent)
  n=0
  until [ -c "/dev/vport0p$3" ]; do
    [ $n -lt 300 ] || exit
    n=$((n + 1))
    sleep 0.1
  done
  exec 3<> "/dev/vport0p$3"
  echo ready >&3
  while read -r verb a b c <&3; do
    case $verb in
    open)
      {
        setsid sh -c "$1" sh "$1" keeper "$a" "$b" "$c" &
        echo "keeper $a $!" >&3
        wait $!
        echo "gone $a $!" >&3
      } &
      ;;
    kill) kill -KILL "-$a" ;;
    esac
  done
  ;;
keeper)
  until [ -c "/dev/vport0p$4" ] && [ -c "/dev/vport0p$5" ] &&
    (exec 4<> "/dev/vport0p$4" 5> "/dev/vport0p$5") 2> /dev/null; do sleep 0.1; done
  exec 4<> "/dev/vport0p$4" 5> "/dev/vport0p$5"
  while :; do
    setsid sh -c "$1" sh "$1" shell 3>&- &
    echo "started $3 $!" >&3
    wait $!
    echo "ended $3 $?" >&3
  done
  ;;
shell)
  shift $#
  [ ! -r /etc/profile ] || . /etc/profile
  cd
  understudy_status=
  while
    unset -f command
    case $understudy_status in
    ?*)
      command echo "$understudy_status" >&4
      while IFS= command read -r understudy_line <&4; do
        case $understudy_line in =*) break ;; esac
      done
      command printf %s "\${understudy_line#=}" >&5
      ;;
    esac
    understudy_line=
    understudy_command=
    while IFS= command read -r understudy_line <&4; do
      case $understudy_line in
      +*) understudy_command="$understudy_command\${understudy_line#+}
" ;;
      .) break ;;
      esac
    done
    case $understudy_line in
    .) ;;
    *) exit ;;
    esac
  do
    understudy_status=0
    understudy_run() { eval "$understudy_command"; }
    understudy_run < /dev/null >&5 2>&1 4>&- 5>&-
    understudy_status=$?
  done
  ;;
esac
`;
