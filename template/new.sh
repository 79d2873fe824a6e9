#!/usr/bin/env bash
# Creates a project from the template's last commit.
#
#   template/new.sh NAME [DEST]     NAME: a-z and 0-9, single - and _ between them, a letter first; the project is
#                                   DEST/NAME (DEST: ..)
set -euo pipefail
case "${1:-}" in "" | -h | --help)
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  [ -n "${1:-}" ] && exit 0 || exit 2
  ;;
esac
name=$1
caller=$PWD
cd "$(dirname "$0")/.."
. dev/lib.sh

case $name in
  # The names of images and namespaces allow no others.
  [!a-z]* | *[!a-z0-9_-]* | *[-_] | *[-_][-_]*)
    die "'$name' cannot be the name of a project: use a-z and 0-9, single - and _ between them, and start with a letter"
    ;;
esac
[ ${#name} -le 63 ] || die "the name has ${#name} characters; 63 are allowed"
destination=$(cd "$caller" && cd "${2:-..}" 2>/dev/null && pwd) || die "the folder ${2:-..} does not exist"
[ ! -e "$destination/$name" ] || die "$destination/$name already exists"
has cargo-generate ||
  die "cargo-generate is missing; install it with: cargo install cargo-generate@0.23.14 --locked (several minutes), then run this again"
git rev-parse --verify --quiet HEAD >/dev/null || die "this is not a git checkout with a commit; projects are created from the last commit"
[ -z "$(git status --porcelain)" ] || say "uncommitted changes are not included: the project is created from the last commit"

export_folder=$(mktemp -d)
trap 'rm -rf "$export_folder"' EXIT
git archive HEAD | tar -x -C "$export_folder"
# cargo-generate needs an author. --force keeps the name exactly as given.
USER=${USER:-$(id -un)} cargo generate --path "$export_folder" --name "$name" --destination "$destination" --force --silent
say "created $destination/$name; next: cd $destination/$name && make run"
