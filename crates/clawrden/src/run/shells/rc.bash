# An interactive shell that is no login shell reads ~/.bashrc next; see login.bash. Not when its command line names
# another file for that.
if [ "${_clawrden_rc-}" != "$$" ]; then
  _clawrden_rc=$$
  _clawrden_other=
  while IFS= read -r -d '' _clawrden_word; do
    case $_clawrden_word in
    --rcfile | -rcfile | --init-file | -init-file | --norc | -norc) _clawrden_other=1 ;;
    esac
  done 2> /dev/null < "/proc/$$/cmdline" || _clawrden_other=1
  case $- in *i*) ;; *) _clawrden_other=1 ;; esac
  if [ -z "$_clawrden_other" ] && ! shopt -q login_shell && ! [ -o posix ] &&
    [ "${#BASH_SOURCE[@]}" -eq 2 ] && (HOME=/) 2> /dev/null; then
    if [ -n "${HOME+x}" ]; then
      _clawrden_home=$HOME _clawrden_restore=set
    else
      _clawrden_restore=unset
    fi
    HOME=$_clawrden_generated
  fi
  unset _clawrden_word _clawrden_other
fi
unset _clawrden_generated
