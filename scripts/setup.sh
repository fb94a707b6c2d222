# Sourced by ./demo, ./test and .ci/run: installs what is missing from Debian 12 and builds.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

packages=(
  # tools
  cmake ninja-build g++ pkg-config git ca-certificates ccache protobuf-compiler gnuplot-nox
  # libraries; README.md says what each is for
  libavcodec-dev libavdevice-dev libavformat-dev libavutil-dev libswscale-dev
  libbenchmark-dev libcli11-dev libexpected-dev libfmt-dev libgmock-dev libgtest-dev
  libjpeg62-turbo-dev libturbojpeg0-dev libopencv-core-dev libopencv-imgproc-dev libopencv-video-dev libpng-dev
  libprotobuf-dev libspdlog-dev libsqlite3-dev libsrt-gnutls-dev libtomlplusplus-dev
  libtorch-dev libx264-dev libx265-dev libxxhash-dev nlohmann-json3-dev
)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "$0: these packages are missing and need root to install: ${missing[*]}" >&2
    exit 1
  fi
}

install_packages() {
  missing=()
  local installed
  installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package} ' "${packages[@]}" 2>/dev/null || true) "
  local package
  for package in "${packages[@]}"; do
    case "$installed" in *"ii $package "*) ;; *) missing+=("$package") ;; esac
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing ${#missing[@]} packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build PRESET FOLDER [TARGET...]
build() {
  local preset=$1 folder=$2
  shift 2
  if [ ! -f "$folder/build.ninja" ]; then
    echo "configuring $folder"
    mkdir -p "$folder"
    cmake --preset "$preset" >"$folder/configure.log" 2>&1 || { cat "$folder/configure.log"; exit 1; }
  fi
  if [ -t 1 ]; then
    ninja -C "$folder" "$@" || exit 1
  else
    NINJA_STATUS="[%f/%t] " ninja -C "$folder" "$@" >"$folder/build.log" 2>&1 ||
      { tail -60 "$folder/build.log"; exit 1; }
    echo "built $folder"
  fi
}
