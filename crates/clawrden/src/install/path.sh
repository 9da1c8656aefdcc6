# Read at the end of shells' startup files: the stand-ins come first on PATH.
case ${PATH-} in
/clawrden/bin | /clawrden/bin:*) ;;
*) PATH=/clawrden/bin:${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin} ;;
esac
export PATH
# Who changes PATH in a running shell (a virtual environment's `activate`) says `hash -r` then.
if [ -n "${BASH_VERSION-}${ZSH_VERSION-}" ]; then
  hash() {
    builtin hash "$@"
    set -- $?
    case ${PATH-} in
    /clawrden/bin | /clawrden/bin:*) ;;
    *) PATH=/clawrden/bin:$PATH ;;
    esac
    return "$1"
  }
fi
