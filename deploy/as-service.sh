#!/usr/bin/env bash
# Run a command as the services run: their user, their settings, their secrets. As root: deploy/as-service.sh medcot plan
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
umask 0027
set -a
for file in medcot.env database.env secrets.env; do
  if [ -e "/etc/medcot/$file" ]; then . "/etc/medcot/$file"; fi
done
set +a
export PATH="$project/.venv/bin:/usr/local/bin:/usr/bin:/bin" HOME=/var/lib/medcot
cd "$project"
exec setpriv --reuid=medcot --regid=medcot --init-groups "$@"
