case ${_clawrden_restore-} in
set) HOME=$_clawrden_home ;;
unset) unset HOME ;;
esac
unset _clawrden_restore _clawrden_home
