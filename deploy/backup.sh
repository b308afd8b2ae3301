#!/usr/bin/env bash
# Back up the storage and the artifacts of an instance, while it runs: deploy/backup.sh FOLDER
#
# Makes FOLDER/<time>/, which only its owner can open, with storage (dump.pgc, or the SQLite files), dagster (its settings
# and logs) and data. Files that the backup before it has too are hard links, so that each backup is whole and only what is
# new takes space; a file that was damaged in that one is copied anew.
# Left out: caches, locks, unfinished work, what was rejected or damaged, and the settings in /etc/medcot.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: backup.sh FOLDER" >&2
  exit 2
fi
: "${DAGSTER_HOME:?is not set: run this with deploy/as-service.sh, or after eval \"\$(medcot env)\"}"
: "${MEDCOT_DATA_DIR:?is not set: run this with deploy/as-service.sh, or after eval \"\$(medcot env)\"}"
here=$(cd "$(dirname "$0")" && pwd)
data=$MEDCOT_DATA_DIR
publishing=$data/locks/publishing.lock
[ -d "$data/locks" ] || mkdir "$data/locks"
[ -e "$publishing" ] || : >>"$publishing"  # before the umask: the services open it too
umask 077
mkdir -p "$1"
folder=$(cd "$1" && pwd)
exec 9>"$folder/.lock"
flock -n 9 || { echo "backup.sh: another backup into $folder is running." >&2; exit 1; }
backups() { find "$folder" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*Z' | sort; }
backups | xargs -r -d '\n' chmod o-rwx  # earlier versions left them open to everybody
previous=$(backups | tail -n 1)
name=$(date -u +%Y%m%dT%H%M%SZ)
while [ -e "$folder/$name" ]; do  # the one before was made in this very second
  sleep 0.1
  name=$(date -u +%Y%m%dT%H%M%SZ)
done
part=$folder/.part-$name
find "$folder" -mindepth 1 -maxdepth 1 -type d -name '.part-*' -exec rm -rf {} +
mkdir -p "$part/data" "$part/storage"

# The storage before the artifacts: every artifact that it speaks of is then in the backup, or was pruned since.
if grep -qE '^ +postgres:' "$DAGSTER_HOME/dagster.yaml"; then
  pg_dump --format=custom --no-owner --file="$part/storage/dump.pgc"
else
  python "$here/sqlite_copy.py" "$DAGSTER_HOME" "$part/storage"
fi

# take SOURCE NAME OPTION...: copy a folder to $part/NAME. Status 24 means that a file vanished meanwhile, which is found
# below where it matters. Artifacts are compared by size and time, since they are held against their manifests; everything
# else by content (--checksum): what rotted in the backup before would otherwise be linked for ever.
take() {
  rsync --archive ${previous:+--link-dest="$previous/$2"} "${@:3}" "$1/" "$part/$2/" || [ $? -eq 24 ]
}
# The links first: what they point to is published already.
take_artifacts() {
  for links in current promoted; do
    if [ -d "$data/$links" ]; then take "$data/$links" "data/$links" --checksum --delete --exclude='.*'; fi
  done
  if [ -d "$data/artifacts" ]; then take "$data/artifacts" data/artifacts --exclude='.staging-*' "$@"; fi
}
verify() { python "$here/verify.py" "$1/data"; }

exec 8<"$publishing"
flock -s 8  # nothing is pruned until the artifacts are here; passes go on
take_artifacts
mended=
if ! verify "$part" 2>/dev/null; then
  # A file was damaged in the backup before and came along as a hard link, or was moved while it was copied.
  take_artifacts --checksum --delete
  problems=$(verify "$part" 2>&1 >/dev/null) || { echo "${problems//"$part/data"/$data}" >&2; exit 1; }
  mended=yes
fi
flock -u 8
take "$data" data --checksum --exclude=/{artifacts,current,promoted,cache,locks,work,rejected,damaged}
take "$DAGSTER_HOME" dagster --checksum --exclude='*.db' --exclude='*.db-*' --exclude='*.lock'

sync -f "$part"
mv -T "$part" "$folder/$name"
sync -f "$folder"
if [ -n "$mended" ]; then
  backups | while read -r earlier; do
    verify "$earlier" >/dev/null 2>&1 ||
      echo "backup.sh: $earlier is damaged: \`python deploy/verify.py $earlier/data\` names where. $name is whole." >&2
  done
fi
echo "Backup: $folder/$name"
