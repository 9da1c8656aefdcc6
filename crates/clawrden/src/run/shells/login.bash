# A login shell reads the user's own file next, from HOME. It finds ours there, which restores HOME, reads the user's,
# and puts the shims first. Only when the shell itself is starting: who reads /etc/profile by hand keeps their HOME.
if [ "${_clawrden_login-}" != "$$" ]; then
  _clawrden_login=$$
  _clawrden_other=
  while IFS= read -r -d '' _clawrden_word; do
    case $_clawrden_word in
    --noprofile | -noprofile) _clawrden_other=1 ;;
    esac
  done 2> /dev/null < "/proc/$$/cmdline" || _clawrden_other=1
  if [ -z "$_clawrden_other" ] && shopt -q login_shell && ! [ -o posix ] &&
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
