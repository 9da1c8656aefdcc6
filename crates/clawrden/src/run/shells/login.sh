# As in login.bash, for dash and busybox, which do not say whether they are login shells: their command line does.
if [ "${_clawrden_login-}" != "$$" ] && [ -z "${KSH_VERSION-}${ZSH_VERSION-}${YASH_VERSION-}" ]; then
  _clawrden_login=$$
  _clawrden_is_login=$(
    IFS='
'
    set -f
    first=1
    for word in $(PATH=/usr/bin:/bin tr '\000' '\n' 2> /dev/null < "/proc/$$/cmdline"); do
      case $first$word in
      1-*) echo yes; break ;;
      1*) ;;
      --login | -[!-]*l* | -l*) echo yes; break ;;
      --) break ;;
      -* | +*) ;;
      *) break ;;
      esac
      first=
    done
  )
  if [ -n "$_clawrden_is_login" ] && (HOME=/) 2> /dev/null; then
    if [ -n "${HOME+x}" ]; then
      _clawrden_home=$HOME _clawrden_restore=set
      HOME=$_clawrden_generated
    fi
  fi
  unset _clawrden_is_login
fi
unset _clawrden_generated
