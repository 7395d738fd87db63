#!/bin/sh
# Installs what the monitor needs, and not the monitor: torch, then what requirements.lock pins, by hash. install.sh, the Containerfile
# and ./run.sh setup do it so:   deploy/packages.sh PIP
# Exit code 3: torch is there, and of the lock something cannot be had here. A file of another hash is 1.
set -eu
TORCH=2.13.0
TORCH_INDEX=https://download.pytorch.org/whl/cpu # asked where pip's own registries have no CPU build
pip=${1:?a pip} here=$(dirname "$0")

# The registry's Linux build of torch brings gigabytes of CUDA: where there is no GPU, only the CPU build will do.
if [ "$(uname -s)" != Linux ] || [ -e /dev/nvidiactl ]; then
    "$pip" install --quiet "torch==$TORCH"
else
    "$pip" install --quiet "torch==$TORCH+cpu" 2>/dev/null ||
        "$pip" install --quiet "torch==$TORCH+cpu" --extra-index-url "$TORCH_INDEX"
fi

said=$("$pip" install --quiet --require-hashes -r "$here/requirements.lock" 2>&1) && exit
echo "$said" >&2
case $said in *"DO NOT MATCH THE HASHES"*) exit 1 ;; esac
exit 3
