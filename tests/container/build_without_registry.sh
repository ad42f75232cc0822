#!/usr/bin/env bash
# Builds the image of Containerfile where no registry of images can be reached, as root on Debian: its own packages
# take the place of the base image, and pip's wheels are fetched before the build, which then needs no network.
#   build_without_registry.sh CONTEXT WORK
# CONTEXT is this checkout, with a model folder in it; WORK, a folder, gets images and wheels; the image is agf-predict.
set -euo pipefail
context=$1 work=$2
storage=(--root "$work/images" --runroot "$work/run" --storage-driver vfs)

debootstrap --variant=minbase --include=python3-venv bookworm "$work/base" > "$work/debootstrap.log"
tar --create --directory "$work/base" . | podman "${storage[@]}" import --quiet - localhost/agf-base
rm -r "$work/base"

sed -n 's/^ *- \(.*==.*\)$/\1/p' "$context/envs/predict.yaml" > "$work/requirements.txt"
python3.11 -m pip download --quiet --disable-pip-version-check --dest "$work/wheels" \
    --requirement "$work/requirements.txt" --constraint "$context/requirements.lock"

buildah "${storage[@]}" bud --isolation chroot --network host --squash --quiet \
    --build-arg BASE=localhost/agf-base --build-arg PIP_OPTIONS='--no-index --find-links /wheels' \
    --volume "$work/wheels:/wheels:ro" --tag agf-predict "$context"
