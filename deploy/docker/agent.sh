#!/bin/sh
# An agent that needs no model and no network: it runs the lines of a file one by one and tells what came of each. New
# lines are taken up as they come. It knows nothing of the warden.
tasks=${1:-/workspace/tasks}
[ -e "$tasks" ] || cat >"$tasks" <<'TASKS'
ls -la /workspace
cat /etc/hostname
rm -rf /
TASKS
done=0
while :; do
  at=0
  while IFS= read -r task; do
    at=$((at + 1))
    [ "$at" -gt "$done" ] || continue
    done=$at
    echo "agent: $task"
    sh -c "$task" </dev/null
    echo "agent: it ended with $?"
  done <"$tasks"
  sleep 2
done
