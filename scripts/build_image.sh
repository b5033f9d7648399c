#!/usr/bin/env bash
# Build the image of deploy/Containerfile with buildah, on a base that comes from Debian's packages, and try it.
#
#     scripts/build_image.sh [OPTIONS OF buildah bud]
#
# Needs buildah and mmdebstrap, and root; no daemon. BASE_TAR keeps the base's file for another time.
set -euo pipefail
cd "$(dirname "$0")/.."

buildah() { command buildah --storage-driver vfs "$@"; }
base_tar=${BASE_TAR:-$(mktemp --suffix .tar)}
# A file of a first build can be used again.
[ -s "$base_tar" ] || mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$base_tar"

base=$(buildah from scratch)
buildah add --quiet "$base" "$base_tar" / >/dev/null
buildah commit --quiet "$base" ganchor-base >/dev/null
buildah rm "$base" >/dev/null
buildah bud --isolation chroot --build-arg BASE=localhost/ganchor-base --file deploy/Containerfile --tag ganchor "$@" .

# As a user that the image does not know, in a folder of its own: an account, a chain, a contract, an answer.
trial=$(buildah from localhost/ganchor)
trap 'buildah rm "$trial" >/dev/null' EXIT
inside() { buildah run --isolation chroot --user 12345 --workingdir /tmp "$trial" -- "$@"; }
inside ganchor --help >/dev/null
inside sh -c '
    set -eu
    mkdir trial && cd trial
    export GANCHOR_PASSWORD=trial
    account=$(ganchor key new key.json)
    ganchor devnet --port 0 --fund "$account" >ready & devnet=$!
    trap "kill $devnet" EXIT
    while [ ! -s ready ]; do sleep 0.2; done
    url=$(python3 -c "import json; print(json.load(open(\"ready\"))[\"url\"])")
    ganchor deploy --rpc-url "$url" --keystore key.json
    ganchor manifest new --member "$account" --rounds 1 --steps 1 --learner classifier --out task.toml
    ganchor task open task.toml --rpc-url "$url" --keystore key.json --store store
    ganchor check --rpc-url "$url" --keystore key.json --store store
    ganchor node --rpc-url "$url" --keystore key.json --store store --log-format json --metrics-port 0 >said
    tail -n 1 said
    ganchor audit --rpc-url "$url" --store store
'
echo "the image ganchor is built, and works"
