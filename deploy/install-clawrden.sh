#!/bin/sh
# install-clawrden.sh: what `clawrden install` and `clawrden uninstall` do, for an image in which `clawrden` does not run.
#
#   sh install-clawrden.sh --tools TOOL,… [--user UID[:GID]] [--lock] [--path PATH] [--clean]
#   sh install-clawrden.sh --finish | --uninstall
#
# Beside it lies `clawrden`, which does the work where it runs, or else the static `clawrden-shim` (`clawrden shims DIR
# TOOL` writes one). It needs a POSIX shell and the usual small tools, busybox's among them. Folder and manifest are
# those of `clawrden install`: each undoes what the other has done. With --clean it removes itself and what lies beside
# it when it is done.
set -euf
umask 022
LC_ALL=C
export LC_ALL
nl='
'
IFS=$nl
usual=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
json=/clawrden/install.json
bin=/clawrden/bin
shim=/clawrden/bin/clawrden-shim
kept=/clawrden/kept
locked=/clawrden/locked
begin='# clawrden: begin (clawrden uninstall takes these lines away)'
line='[ ! -r /clawrden/shell/path.sh ] || . /clawrden/shell/path.sh'
end_line='# clawrden: end'
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
here=$(cd -- "$here" && pwd)

refuse() {
  echo "install-clawrden.sh: $*" >&2
  exit 1
}

usage() {
  echo "install-clawrden.sh: $*" >&2
  exit 2
}

# ---- the command line

verb=install tools='' user='' lock=false clean='' given_path=${PATH-}
while [ $# -gt 0 ]; do
  case $1 in
  --tools | --user | --path) [ $# -gt 1 ] || usage "$1 needs a value" ;;
  esac
  case $1 in
  --tools) tools=$tools,$2 && shift ;;
  --user) user=$2 && shift ;;
  --path) given_path=$2 && shift ;;
  --lock) lock=true ;;
  --clean) clean=1 ;;
  --finish) verb=finish ;;
  --uninstall) verb=uninstall ;;
  --root) usage "--root is for clawrden install: a shell follows an image's links out of it" ;;
  *) usage "$1 is not understood" ;;
  esac
  shift
done
if [ "$verb" = install ]; then
  [ -n "$tools" ] || usage "name the tools: --tools npm,git"
elif [ -n "$tools$user" ] || [ "$lock" = true ]; then
  usage "--$verb takes what the manifest says, and no --tools, --user or --lock"
fi
case $user in
'') ;;
*[!0-9:]* | *:*:* | :* | *:) usage "'$user' is not UID or UID:GID in digits" ;;
esac

clean_up() {
  [ -z "$clean" ] || {
    rm -f "$here/clawrden-shim" "$here/clawrden" "$here/${0##*/}"
    rmdir "$here" 2>/dev/null || :
  }
}

if [ -x "$here/clawrden" ] && "$here/clawrden" --version >/dev/null 2>&1; then
  case $verb in
  uninstall) "$here/clawrden" uninstall ;;
  finish) "$here/clawrden" install --finish ;;
  install)
    set -- --tools "${tools#,}" --path "$given_path"
    [ -z "$user" ] || set -- "$@" --user "$user"
    [ "$lock" = false ] || set -- "$@" --lock
    "$here/clawrden" install "$@"
    ;;
  esac
  clean_up
  exit 0
fi

# ---- small parts

# Tools that are locked lie there, and the stand-ins are not asked.
own_path=
for folder in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin; do
  own_path=$own_path$locked/$folder:
done
PATH=$own_path$usual
export PATH

# For the tests: dies before the change that is named.
changes=0
change() {
  [ "${CLAWRDEN_CRASH_AT-}" != "install:$changes" ] || kill -9 $$
  changes=$((changes + 1))
  # What the shell remembers of tools may be a stand-in by then.
  hash -r
}

# in_folder FOLDER WORD…: changes something in a folder, which keeps its time.
in_folder() {
  folder=$1
  shift
  change
  time_of=$kept/.time
  [ -d "$kept" ] || time_of=$here/.clawrden-time
  touch -r "$folder" "$time_of" 2>/dev/null || time_of=
  "$@"
  hash -r
  [ -z "$time_of" ] || {
    touch -r "$time_of" "$folder" || :
    rm -f "$time_of"
  }
}

is_there() { [ -e "$1" ] || [ -h "$1" ]; }

# Whether a stand-in of ours is in a place.
is_ours() { [ -h "$1" ] && [ "$(readlink "$1")" = "$shim" ]; }

# Whether something else is.
stands() { is_there "$1" && ! is_ours "$1"; }

# has LIST ITEM: lists have an item a line.
has() { case $nl$1$nl in *"$nl$2$nl"*) ;; *) return 1 ;; esac }

# Whether a manifest can hold it.
is_plain() { case $1 in *[!' '-~]* | *[\"\'\\]* | *'|'*) return 1 ;; esac }

# folder_of PATH, into `above`.
folder_of() {
  above=${1%/*}
  above=${above:-/}
}

# What `ls` says of a place itself: mode, links, owner and group.
facts_of() {
  IFS=' '
  set -- $(ls -ldn "$1")
  IFS=$nl
  mode=$1 links=$2 owner=$3 group=$4
}

same_text() { [ "$(cat "$1" && echo .)" = "$(cat "$2" && echo .)" ]; }

# ---- the manifest; a step is kind|path|tool|kept

field() {
  case $2 in
  *"\"$1\":\""*)
    value=${2#*"\"$1\":\""}
    value=${value%%\"*}
    ;;
  *) value= ;;
  esac
}

state='' old_tools='' old_user='' old_lock=false old_path='' old=''
read_manifest() {
  [ ! -h /clawrden ] && [ ! -h "$json" ] || refuse "/clawrden or its manifest is a link; remove it"
  [ -f "$json" ] || return 0
  while IFS= read -r text; do
    case $text in
    *\\*) refuse "$json has characters that only clawrden understands" ;;
    '{"version":1,'*)
      field state "$text" && state=$value
      field user "$text" && old_user=$value
      field path "$text" && old_path=$value
      case $text in *'"lock":true'*) old_lock=true ;; esac
      ;;
    '"tools":['*)
      text=${text#*\[}
      IFS=',"'
      for tool in ${text%\]*}; do [ -z "$tool" ] || old_tools=$old_tools${old_tools:+$nl}$tool; done
      IFS=$nl
      ;;
    '{"step":'*)
      field step "$text" && step=$value
      field path "$text" && step="$step|$value"
      field tool "$text" && step="$step|$value"
      field kept "$text" && step="$step|$value"
      old=$old${old:+$nl}$step
      ;;
    esac
  done <"$json"
  case $state in
  installing | installed | uninstalling) ;;
  *) refuse "$json is not understood; the clawrden that wrote it can uninstall" ;;
  esac
}

# write_manifest STATE STEPS
write_manifest() {
  change
  {
    printf '{"version":1,"state":"%s","user":"%s","lock":%s,"path":"%s",\n' "$1" "$user" "$lock" "$path"
    quoted=
    for tool in $tools; do quoted=$quoted${quoted:+,}\"$tool\"; done
    printf '"tools":[%s],\n"steps":[' "$quoted"
    comma=
    each_step "$2" print_step
    printf '\n]}\n'
  } >"$json.new"
  in_folder /clawrden mv -f "$json.new" "$json"
}

print_step() {
  printf '%s\n{"step":"%s","path":"%s"' "$comma" "$kind" "$place"
  [ -z "$tool" ] || printf ',"tool":"%s"' "$tool"
  [ -z "$copy" ] || printf ',"kept":"%s"' "$copy"
  printf '}'
  comma=,
}

# each_step STEPS FUNCTION: calls it with kind, place, tool and copy set.
each_step() {
  [ -n "$1" ] || return 0
  while IFS='|' read -r kind place tool copy; do
    "$2"
  done <<STEPS
$1
STEPS
}

# ---- the world as it was before anything was locked

locked_places=
note_locked() { case $kind in file | link) locked_places=$locked_places$place$nl ;; esac }

# original: where what the step took from its place is.
original() {
  case $kind in
  link | edit) at=$kept/$copy ;;
  *) at=$locked$place ;;
  esac
}

# look PATH: sets `found` to none, link (its text in `text`) or other; `at` is where it is looked at.
look() {
  at=$1
  if has "$locked_places" "$1" && ! stands "$1"; then
    at=${nl}$steps$nl
    at=${at#*"${nl}link|$1|"*"|"}
    case $at in "$nl"*) at=$locked$1 ;; *) at=$kept/${at%%"$nl"*} ;; esac
  fi
  if [ -h "$at" ]; then
    found=link text=$(readlink "$at")
  elif [ -e "$at" ]; then
    found=other
  else
    found=none
  fi
}

# follow PATH: sets `passed`, the links on the way, and `end`; false when it leads nowhere.
follow() {
  ahead=$1 way='' passed='' hops=0
  while [ -n "$ahead" ]; do
    ahead=${ahead#/}
    name=${ahead%%/*}
    case $ahead in */*) ahead=${ahead#*/} ;; *) ahead= ;; esac
    case $name in
    '' | .) continue ;;
    ..)
      way=${way%/*}
      continue
      ;;
    esac
    look "$way/$name"
    case $found in
    none) return 1 ;;
    other) way=$way/$name ;;
    link)
      hops=$((hops + 1))
      [ "$hops" -le 40 ] || return 1
      passed=$passed$way/$name$nl
      case $text in /*) way= ;; esac
      ahead=$text${ahead:+/$ahead}
      ;;
    esac
  done
  end=${way:-/}
}

# ---- which folders, tools and files

find_folders() {
  folders=
  IFS=:
  set -- $given_path $old_path $usual
  IFS=$nl
  for folder; do
    case $folder in /*) ;; *) continue ;; esac
    follow "$folder" || continue
    [ -d "$end" ] || continue
    case $end in /clawrden | /clawrden/*) continue ;; esac
    is_plain "$end" || refuse "'$end' has characters that a manifest does not hold"
    has "$folders" "$end" || folders=$folders${folders:+$nl}$end
  done
  path=$(printf %s "$folders" | tr "$nl" :)
}

# Whether two names are a tool's and its version's or part's: git and git-upload-pack, python and python3.11.
is_family() {
  case $1 in "$2"[0-9.-]*) return 0 ;; esac
  case $2 in "$1"[0-9.-]*) return 0 ;; esac
  return 1
}

# What leads to a tool and begins with its name (nodejs, sudoedit) is no other one.
is_same() {
  case $2 in "$1"*) return 0 ;; esac
  is_family "$1" "$2"
}

next=0
highest() { [ -z "$copy" ] || [ "$copy" -lt "$next" ] || next=$((copy + 1)); }

# kept_name PATH: sets `number`.
kept_name() {
  number=${nl}$old$nl
  number=${number#*"|$1|"}
  number=${number%%"$nl"*}
  number=${number#*|}
  [ -n "$number" ] || {
    number=$next
    next=$((next + 1))
  }
}

is_executable() {
  follow "$1" || return 1
  look "$end"
  [ -f "$at" ] && [ -x "$at" ]
}

# add_place PATH TOOL KIND
add_place() {
  has "$places" "$1" && return 0
  if [ "$3" = link ]; then
    kept_name "$1"
    locks=$locks${locks:+$nl}"link|$1|$2|$number"
  else
    locks=$locks${locks:+$nl}"file|$1|$2|"
  fi
  places=$places${places:+$nl}$1
  place_tools=$place_tools$1\ $2$nl
}

# tool_at PATH: sets `at_tool`, the tool that a place is locked for.
tool_at() {
  at_tool=${place_tools#*"$nl$1 "}
  at_tool=${at_tool%%"$nl"*}
}

kind_of() {
  look "$1"
  [ "$found" = link ] && echo link || echo file
}

find_tools() {
  locks='' places='' place_tools=$nl absent='' open=''
  for tool in $tools; do
    is_absent=1
    for folder in $folders; do
      candidate=${folder%/}/$tool
      is_executable "$candidate" || continue
      if grep -q '\.note\.clawrden' "$at" 2>/dev/null; then
        [ "$lock" = false ] || refuse "$candidate is a stand-in already, but not by this installation; put the tool back"
        continue
      fi
      is_absent=
      [ "$lock" = false ] || add_place "$candidate" "$tool" "$(kind_of "$candidate")"
    done
    [ -z "$is_absent" ] || absent="$absent $tool"
  done
  [ -n "$places" ] || return 0
  find_others
  before=
  while [ "$places" != "$before" ]; do
    before=$places
    join_ends
    join_others
  done
}

# Every link in the folders, with the places that it leads over: other|place|place|…
find_others() {
  others='' files=''
  set +f
  for folder in $folders; do
    for other in "${folder%/}"/* "${folder%/}"/.[!.]*; do
      is_plain "$other" || continue
      if [ -h "$other" ]; then
        has "$places" "$other" || follow_other "$other"
      elif [ -f "$other" ]; then
        files=$files$other$nl
      fi
    done
  done
  set -f
  for other in $locked_places; do
    ! stands "$other" || continue
    look "$other"
    case $found in
    link) has "$places" "$other" || follow_other "$other" ;;
    other) files=$files$other$nl ;;
    esac
  done
}

follow_other() {
  look "$1"
  [ "$found" = link ] && follow "$1" || return 0
  others=$others$1
  for over in $passed$end; do others="$others|$over"; done
  others=$others$nl
}

# A tool that leads to another name of itself is locked together with that.
join_ends() {
  for candidate in $places; do
    tool_at "$candidate"
    family=$at_tool
    [ "$(kind_of "$candidate")" = link ] && follow "$candidate" || continue
    for over in $passed$end; do
      folder_of "$over"
      has "$folders" "$above" && is_family "$family" "${over##*/}" || continue
      add_place "$over" "$family" "$(kind_of "$over")"
    done
  done
}

# So is what leads to it and is the same tool; what is another tool would be taken away.
join_others() {
  robbed='' taken_away='' others_count=0
  for entry in $others; do
    other=${entry%%|*}
    has "$places" "$other" && continue
    rest=${entry#*|}
    while [ -n "$rest" ]; do
      over=${rest%%|*}
      case $rest in *\|*) rest=${rest#*|} ;; *) rest= ;; esac
      has "$places" "$over" || continue
      tool_at "$over"
      if is_same "$at_tool" "${other##*/}"; then
        add_place "$other" "$at_tool" link
      elif ! has "$tools" "${other##*/}" && [ "${robbed:-$over}" = "$over" ]; then
        robbed=$over robbed_tool=$at_tool others_count=$((others_count + 1))
        [ "$others_count" -gt 12 ] || taken_away="$taken_away ${other##*/}"
      fi
      break
    done
  done
  [ "$others_count" -le 12 ] || taken_away="$taken_away and $((others_count - 12)) more"
  [ -z "$robbed" ] || refuse "$robbed cannot be locked:$taken_away would be taken away with it, being links to it;" \
    "name them in --tools as well, or leave $robbed_tool out of a locked installation"
  for candidate in $places; do
    [ "$(kind_of "$candidate")" = file ] || continue
    look "$candidate"
    facts_of "$at"
    [ "$links" -gt 1 ] || continue
    tool_at "$candidate"
    same=$at
    for other in $files; do
      look "$other"
      [ "$at" -ef "$same" ] && ! has "$places" "$other" || continue
      if is_same "$at_tool" "${other##*/}"; then
        add_place "$other" "$at_tool" file
      else
        has "$open" "$other ($at_tool)" || open=$open${open:+$nl}"$other ($at_tool)"
      fi
    done
  done
}

# add_edit FILE
add_edit() {
  has "$edited" "$1" && return 0
  kept_name "$1"
  edits=$edits${edits:+$nl}"edit|$1||$number"
  edited=$edited${edited:+$nl}$1
}

has_shell() {
  for folder in $folders; do
    for name in "$@"; do
      [ ! -x "${folder%/}/$name" ] || return 0
    done
  done
  return 1
}

# find_file FILE [create]
find_file() {
  if has "$old" "create|$1||"; then
    edits=$edits${edits:+$nl}"create|$1||"
  elif follow "$1"; then
    [ -f "$end" ] && [ -O "$end" ] && add_edit "$end"
  elif [ -n "${2-}" ] && ! is_there "$1"; then
    folder_of "$1"
    [ ! -d "$above" ] || [ -h "$above" ] || edits=$edits${edits:+$nl}"create|$1||"
  fi
  return 0
}

find_files() {
  edits='' edited=''
  if has_shell sh bash dash ash; then find_file /etc/profile create; else find_file /etc/profile; fi
  for file in /etc/bash.bashrc /etc/bash/bashrc /etc/bashrc; do find_file "$file"; done
  if has_shell zsh; then
    of_zsh=/etc
    if follow /etc/zsh; then of_zsh=$end; fi
    find_file "$of_zsh/zshenv" create
    for file in zprofile zshrc zlogin; do find_file "$of_zsh/$file"; done
  fi
  uid=${user%%:*}
  home=
  [ ! -f /etc/passwd ] || while IFS=: read -r _ _ id _ _ of _; do
    [ "$id" != "${uid:-0}" ] || [ -n "$home" ] || home=$of
  done </etc/passwd
  home=${home%/}
  case $home in /*) is_plain "$home" && [ -d "$home" ] || return 0 ;; *) return 0 ;; esac
  follow "$home" && [ "$end" = "$home" ] || return 0
  for name in .bash_profile .bash_login .profile .bashrc .zshenv .zprofile .zshrc .zlogin; do
    file=$home/$name
    # A link could lead anywhere, and the home's owner has made it.
    [ -f "$file" ] && [ ! -h "$file" ] || continue
    facts_of "$file"
    [ "$links" = 1 ] || continue
    case $owner in 0 | "${uid:-0}") add_edit "$file" ;; esac
  done
}

# ---- steps

has_lines() { case $nl$(cat "$1") in *"$nl$begin"*) ;; *) return 1 ;; esac }

without_lines() { sed "/^# clawrden: begin (/,/^$end_line\$/d" "$1"; }

append_lines() {
  change
  case $(cat "$1" && echo .) in . | *"$nl".) open_line= ;; *) open_line=$nl ;; esac
  printf '%s%s\n%s\n%s\n' "$open_line" "$begin" "$line" "$end_line" >>"$1"
}

do_step() {
  original
  case $kind in
  edit)
    [ -f "$place" ] || return 0
    has_lines "$place" && return 0
    change
    cp "$place" "$at.new"
    touch -r "$place" "$at.new"
    chmod 600 "$at.new"
    mv -f "$at.new" "$at"
    append_lines "$place"
    ;;
  create)
    folder_of "$place"
    if [ ! -e "$place" ]; then
      in_folder "$above" make_file "$place"
    elif ! has_lines "$place"; then
      append_lines "$place"
    fi
    ;;
  esac
}

make_file() { printf '%s\n%s\n%s\n' "$begin" "$line" "$end_line" >"$1"; }

# The folders above a locked tool; root alone looks into them.
make_locked_folders() {
  folder_of "$1"
  deep=$locked rest=${above#/}
  while [ -n "$rest" ]; do
    deep=$deep/${rest%%/*}
    [ -d "$deep" ] || { change && mkdir -m 700 "$deep"; }
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
  done
}

lock_step() {
  case $kind in file | link) ;; *) return 0 ;; esac
  original
  make_locked_folders "$place"
  folder_of "$place"
  # This script may need the tool for its next step.
  if [ "$kind" = link ] && ! is_there "$locked$place" && follow "$place"; then
    look "$end"
    change
    ln -s "$at" "$locked$place"
    original
  fi
  # What stands there while something is kept has come since: a package was upgraded.
  ! stands "$place" || in_folder "$above" mv -f "$place" "$at"
  if ! is_there "$at"; then
    gone="$gone $place"
    return 0
  fi
  is_there "$place" || in_folder "$above" ln -s "$shim" "$place"
}

# The link that leads to a locked tool which is a link.
lead_step() {
  [ "$kind" = link ] || return 0
  target=
  if follow "$place"; then
    target=$end
    ! has "$locked_places" "$end" || target=$locked$end
  fi
  [ "$(readlink "$locked$place" || :)" != "$target" ] || return 0
  change
  if [ -n "$target" ]; then ln -sfn "$target" "$locked$place"; else rm -f "$locked$place"; fi
}

# Steps are taken back in the opposite order, and from wherever a crash left them.
undo_steps() {
  backwards=
  each_step "$1" turn_round
  each_step "$backwards" undo_step
}

turn_round() { backwards="$kind|$place|$tool|$copy"${backwards:+$nl}$backwards; }

undo_step() {
  original
  folder_of "$place"
  case $kind in
  edit)
    if [ -f "$place" ] && has_lines "$place"; then
      without_lines "$place" >"$kept/.work"
      change
      if [ -f "$at" ] && { same_text "$at" "$kept/.work" || is_kept_with_newline; }; then
        cat "$at" >"$place"
        touch -r "$at" "$place"
      else
        cat "$kept/.work" >"$place"
      fi
    fi
    rm -f "$at" "$at.new"
    ;;
  create)
    [ -f "$place" ] && has_lines "$place" || return 0
    without_lines "$place" >"$kept/.work"
    if [ -s "$kept/.work" ]; then
      change
      cat "$kept/.work" >"$place"
    else
      in_folder "$above" rm -f "$place"
    fi
    ;;
  file | link)
    if stands "$place"; then
      ! is_there "$at" || superseded="$superseded $place"
      rm -f "$at"
    elif is_there "$at"; then
      in_folder "$above" mv -f "$at" "$place"
    fi
    [ "$kind" = file ] || rm -f "$locked$place"
    ;;
  esac
}

is_kept_with_newline() { [ "$(cat "$at" && echo && echo .)" = "$(cat "$kept/.work" && echo .)" ]; }

# Removes folders of which nothing is left.
prune() {
  below "$1"
  for deep in $names; do
    [ ! -d "$deep" ] || [ -h "$deep" ] || (prune "$deep")
  done
  rmdir "$1" 2>/dev/null || :
}

# below FOLDER: sets `names`.
below() {
  set +f
  names=
  for deep in "$1"/* "$1"/.[!.]*; do
    ! is_there "$deep" || names=$names$deep$nl
  done
  set -f
}

make_house() {
  for folder in "$bin" /clawrden/shell; do
    [ -d "$folder" ] || { change && mkdir "$folder"; }
    chmod 755 "$folder"
  done
  for folder in "$kept" "$locked"; do
    [ -d "$folder" ] || { change && mkdir -m 700 "$folder"; }
    chmod 700 "$folder"
  done
}

furnish() {
  if [ -f "$here/clawrden-shim" ]; then
    change
    cp "$here/clawrden-shim" "$bin/.clawrden-shim.new"
    chmod 755 "$bin/.clawrden-shim.new"
    mv -f "$bin/.clawrden-shim.new" "$shim"
  fi
  for tool in $tools clawrden-runner; do
    [ ! -h "$bin/$tool" ] || [ "$(readlink "$bin/$tool")" != clawrden-shim ] || continue
    is_there "$bin/$tool" && refuse "$bin/$tool is not ours, so it is not replaced; remove it"
    change
    ln -s clawrden-shim "$bin/$tool"
  done
  below "$bin"
  for link in $names; do
    has "clawrden-runner$nl$tools" "${link##*/}" || remove_link
  done
  change
  cat >/clawrden/shell/path.sh.new <<'PATH_SH'
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
PATH_SH
  mv -f /clawrden/shell/path.sh.new /clawrden/shell/path.sh
}

remove_link() { [ ! -h "$link" ] || [ "$(readlink "$link")" != clawrden-shim ] || { change && rm -f "$link"; }; }

clear_house() {
  below "$bin"
  for link in $names; do remove_link; done
  change
  rm -f "$shim" "$bin/.clawrden-shim.new" /clawrden/shell/path.sh /clawrden/shell/path.sh.new
  each_step "$1" clear_kept
  rm -f "$kept/.work" "$kept/.time"
  for folder in "$bin" /clawrden/shell "$kept"; do rmdir "$folder" 2>/dev/null || :; done
  prune "$locked"
}

clear_kept() { [ -z "$copy" ] || rm -f "$kept/$copy" "$kept/$copy.new"; }

# ---- what is said

# say HEAD LIST
say() {
  [ -n "$2" ] || return 0
  IFS=$nl' '
  set -- "$1" $2
  IFS=' '
  head=$1
  shift
  echo "$head: $*"
  IFS=$nl
}

# can_write FOLDER: whether the prisoner may put things into it.
can_write() {
  facts_of "$1"
  if [ "$owner" = "${user%%:*}" ]; then
    bits=${mode#?}
  elif [ "$user" = "${user%%:*}:$group" ]; then
    bits=${mode#????}
  else
    bits=${mode#???????}
  fi
  case $bits in ?w*) ;; *) return 1 ;; esac
}

say_open() {
  [ "$kind" = link ] && follow "$place" || return 0
  has "$locked_places" "$end" || echo "not governed by its path: $end ($tool)"
}

say_weaker() {
  facts_of /clawrden
  top=$owner
  [ "$top" = 0 ] || echo "weaker: /clawrden belongs to uid $top, not to root: whoever has that uid inside can undo all of this"
  if [ "$lock" = true ]; then
    case ${user%%:*} in
    '') echo "weaker: root inside can open what is locked; run the prisoner as another user" ;;
    0 | "$top") echo "weaker: uid ${user%%:*} can open what is locked: it owns it" ;;
    esac
  fi
  case ${user%%:*} in '' | 0) return 0 ;; esac
  for folder in $folders; do
    ! can_write "$folder" ||
      echo "weaker: uid ${user%%:*} can write $folder: it can put a tool back that was locked there"
  done
}

# ---- the verbs

refuse_strange() {
  below /clawrden
  for strange in $names; do
    [ "$strange" != "$json.new" ] || continue
    refuse "/clawrden has '${strange##*/}' in it and no install.json, so no installer made it or its manifest was lost;" \
      "move it away"
  done
}

install() {
  [ -f "$here/clawrden-shim" ] || [ -f "$shim" ] || refuse "clawrden-shim is not beside this script; put it there"
  steps=$old
  each_step "$steps" note_locked
  each_step "$old" highest
  find_folders
  find_files
  find_tools
  new=$edits${edits:+${locks:+$nl}}$locks
  unwanted=
  for step in $old; do has "$new" "$step" || unwanted=$unwanted${unwanted:+$nl}$step; done
  [ -d /clawrden ] || in_folder / mkdir /clawrden
  chmod 755 /clawrden
  write_manifest installing "$new${new:+${unwanted:+$nl}}$unwanted"
  make_house
  superseded='' gone=''
  undo_steps "$unwanted"
  furnish
  each_step "$new" do_step
  steps=$new locked_places=''
  each_step "$new" note_locked
  each_step "$new" lock_step
  still=
  each_step "$new" keep_unless_gone
  steps=$still locked_places=''
  each_step "$still" note_locked
  each_step "$still" lead_step
  below "$locked"
  for folder in $names; do [ ! -d "$folder" ] || (prune "$folder"); done
  rm -f "$kept/.work" "$kept/.time"
  write_manifest installed "$still"
  say stand-ins "$tools"
  say locked "$locked_places"
  say "not installed here" "$absent"
  say "gone, so not locked" "$gone"
  say "not put back, since something else is there" "$superseded"
  each_step "$still" say_open
  for place in $open; do echo "not governed by its path: $place"; done
  say_weaker
  echo "without a shell: set ENV PATH=/clawrden/bin:\$PATH in the image, or --env where it is run"
}

keep_unless_gone() {
  case " $gone " in
  *" $place "*) case $kind in file | link) return 0 ;; esac ;;
  esac
  still=$still${still:+$nl}"$kind|$place|$tool|$copy"
}

uninstall() {
  tools=$old_tools user=$old_user lock=$old_lock path=$old_path superseded='' steps=$old
  [ "$state" = uninstalling ] || write_manifest uninstalling "$old"
  undo_steps "$old"
  clear_house "$old"
  change
  rm -f "$json.new" "$json"
  below /clawrden
  if [ -z "$names" ]; then
    in_folder / rmdir /clawrden
  else
    say "not ours, so left in /clawrden" "$names"
  fi
  say "no stand-in any more" "$tools"
  say "not put back, since something else is there" "$superseded"
}

read_manifest
case $verb:$state in
install:)
  refuse_strange
  ;;
install:installed) ;;
install:*)
  refuse "an installation was interrupted here; --finish brings it to its end, --uninstall undoes it"
  ;;
finish: | finish:installed)
  refuse "no installation was interrupted here; leave --finish out and name the tools"
  ;;
finish:uninstalling) verb=uninstall ;;
finish:installing)
  verb=install tools=$(echo "$old_tools" | tr "$nl" ,) user=$old_user lock=$old_lock given_path=''
  ;;
uninstall:)
  [ -d /clawrden ] || refuse "nothing is installed here: there is no $json"
  refuse_strange
  rm -f "$json.new"
  in_folder / rmdir /clawrden
  clean_up
  exit 0
  ;;
esac
if [ "$verb" = install ]; then
  tools=$(
    IFS=,
    all=
    for tool in $tools; do
      case $tool in
      '' | '[') ;;
      . | .. | clawrden | clawrden-* | .clawrden-shim.new | *[!A-Za-z0-9._+-]*) exit 2 ;;
      esac
      [ -z "$tool" ] || has "$all" "$tool" || all=$all${all:+$nl}$tool
    done
    echo "$all"
  ) || usage "a tool is named by letters, digits, '.', '_', '+', '-', or '[', and is none of ours"
  install
else
  uninstall
fi
clean_up
