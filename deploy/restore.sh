#!/usr/bin/env bash
# Put a backup back, onto an instance that holds nothing and whose services are stopped: deploy/restore.sh FOLDER/<time>
set -euo pipefail
if [ $# -ne 1 ] || [ ! -d "$1/storage" ]; then
  echo "usage: restore.sh FOLDER/<time>, one that backup.sh made" >&2
  exit 2
fi
: "${DAGSTER_HOME:?is not set: run this with deploy/as-service.sh}"
: "${MEDCOT_DATA_DIR:?is not set: run this with deploy/as-service.sh}"
here=$(cd "$(dirname "$0")" && pwd)
backup=$(cd "$1" && pwd)
refuse() { echo "restore.sh: $1" >&2; exit 1; }

for used in "$MEDCOT_DATA_DIR/artifacts" "$MEDCOT_DATA_DIR/current" "$DAGSTER_HOME/history"; do
  [ ! -e "$used" ] || refuse "$used exists; nothing is overwritten. Move it away first."
done
if [ -f "$backup/storage/dump.pgc" ]; then
  tables=$(psql --no-psqlrc -qAtX -c "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
  [ "$tables" = 0 ] || refuse "database $PGDATABASE has $tables tables; nothing is overwritten. Make it anew first."
fi

mkdir -p "$DAGSTER_HOME" "$MEDCOT_DATA_DIR"
python "$here/verify.py" "$backup/data"
if [ -f "$backup/storage/dump.pgc" ]; then
  pg_restore --exit-on-error --single-transaction --no-owner --dbname="$PGDATABASE" "$backup/storage/dump.pgc"
else
  rsync --archive "$backup/storage/" "$DAGSTER_HOME/"
fi
rsync --archive "$backup/dagster/" "$DAGSTER_HOME/"
rsync --archive --exclude=/{current,promoted,cache} "$backup/data/" "$MEDCOT_DATA_DIR/"
rsync --archive "$backup/data/" "$MEDCOT_DATA_DIR/"  # the links last: what they point to is there
python "$here/verify.py" "$MEDCOT_DATA_DIR"
echo "Restored. What a sync would do:"
medcot plan
