#!/usr/bin/env bash
# Back up the storage and the artifacts of an instance, while it runs: deploy/backup.sh FOLDER
#
# Makes FOLDER/<time>/ with storage (dump.pgc, or the SQLite files), dagster (its settings and logs) and data. Files that
# the backup before it has too are hard links, so that each backup is whole and only what is new takes space.
# Left out: caches, unfinished work, what was rejected or damaged, and the settings in /etc/medcot.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: backup.sh FOLDER" >&2
  exit 2
fi
: "${DAGSTER_HOME:?is not set: run this with deploy/as-service.sh, or after eval \"\$(medcot env)\"}"
: "${MEDCOT_DATA_DIR:?is not set: run this with deploy/as-service.sh, or after eval \"\$(medcot env)\"}"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
exec 9>"$folder/.lock"
flock -n 9 || { echo "backup.sh: another backup into $folder is running." >&2; exit 1; }
previous=$(find "$folder" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*Z' | sort | tail -n 1)
name=$(date -u +%Y%m%dT%H%M%SZ)
part=$folder/.part-$name
find "$folder" -mindepth 1 -maxdepth 1 -type d -name '.part-*' -exec rm -rf {} +
mkdir -p "$part/data" "$part/storage"

# The storage before the artifacts: every artifact that it speaks of is then in the backup, or was pruned since.
if grep -qE '^ +postgres:' "$DAGSTER_HOME/dagster.yaml"; then
  pg_dump --format=custom --no-owner --file="$part/storage/dump.pgc"
else
  python "$here/sqlite_copy.py" "$DAGSTER_HOME" "$part/storage"
fi

# The links first: what they point to is published already.
take() { rsync --archive ${previous:+--link-dest="$previous/$1"} "${@:2}" "$part/$1/"; }
for link in current promoted; do
  if [ -d "$MEDCOT_DATA_DIR/$link" ]; then take data "$MEDCOT_DATA_DIR/$link"; fi
done
take data --exclude=/{current,promoted,cache,work,rejected,damaged} --exclude='.staging-*' "$MEDCOT_DATA_DIR/"
take dagster --exclude='*.db' --exclude='*.db-*' --exclude='*.lock' "$DAGSTER_HOME/"

python "$here/verify.py" "$part/data"
sync -f "$part"
mv "$part" "$folder/$name"
echo "Backup: $folder/$name"
