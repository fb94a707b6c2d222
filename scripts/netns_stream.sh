#!/usr/bin/env bash
# Streams over a real network stack: device and server in two network namespaces of this machine,
# the device's uplink shaped by tc from a bandwidth trace. Needs root, iproute2 and the kernel's tbf
# (and netem, for the delay); says "skipped" where they are missing.
#
#   sudo scripts/netns_stream.sh TRACE.csv [--seconds 60] [--scale 1.0] [--out out/netns]
#        [--input FILE] [--network FILE] [--stac build/stac] [-- more options of stac device]
#
# TRACE.csv: lines "time_s,kbps", with or without that header. A rate of 0 is shaped as 1 kb/s.
# Writes OUT/device.jsonl (frames, keyframes, decisions), OUT/summary.json, OUT/shaping.csv.
set -euo pipefail

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit "$1"; }
skip() { echo "skipped: $1"; exit 0; }

trace="" seconds=60 scale=1 out=out/netns input="synthetic:640x384@15" network="" stac=build/stac
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=$2; shift 2 ;;
    --scale) scale=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --input) input=$2; shift 2 ;;
    --network) network=$2; shift 2 ;;
    --stac) stac=$2; shift 2 ;;
    --help | -h) usage 0 ;;
    --) shift; break ;;
    -*) echo "unknown option $1" >&2; usage 2 >&2 ;;
    *) trace=$1; shift ;;
  esac
done
[ -n "$trace" ] || usage 2 >&2
[ -r "$trace" ] || { echo "cannot read the trace $trace" >&2; exit 1; }
[ -x "$stac" ] || { echo "$stac is missing: build it, or name it with --stac" >&2; exit 1; }
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
command -v ip > /dev/null && command -v tc > /dev/null || skip "ip and tc are missing (iproute2)"

mkdir -p "$out"
# "seconds to wait, kb/s" per step, for as long as the stream takes; the trace repeats.
awk -F, -v scale="$scale" -v length_s="$seconds" '
  BEGIN { n = 0 }
  /^[[:space:]]*(#|$)/ { next }
  $1 !~ /^[0-9.eE+-]+$/ { if (n == 0) next; print "line " NR " is no time,kbps" > "/dev/stderr"; exit 1 }
  { time[n] = $1; kbps[n] = $2 * scale; n++ }
  END {
    if (n == 0) { print "the trace has no points" > "/dev/stderr"; exit 1 }
    step = n > 1 ? (time[n-1] - time[0]) / (n - 1) : 1
    for (at = 0; at < length_s + 20; ) for (i = 0; i < n && at < length_s + 20; i++) {
      wait = i + 1 < n ? time[i+1] - time[i] : step
      if (wait <= 0) { print "times must increase (point " i ")" > "/dev/stderr"; exit 1 }
      printf "%.3f,%.3f,%d\n", at, wait, kbps[i] < 1 ? 1 : kbps[i]
      at += wait
    }
  }' "$trace" > "$out/shaping.csv"

dev=stac-device-$$ srv=stac-server-$$ children=()
cleanup() {
  for child in "${children[@]}"; do kill "$child" 2> /dev/null || true; done
  wait 2> /dev/null || true
  ip netns del "$dev" 2> /dev/null || true
  ip netns del "$srv" 2> /dev/null || true
}
trap cleanup EXIT
ip netns add "$dev" 2> /dev/null && ip netns add "$srv" || skip "no network namespaces here"
ip link add stac0 netns "$dev" type veth peer name stac0 netns "$srv" || skip "no veth devices here"
ip -n "$dev" addr add 10.77.0.1/24 dev stac0 && ip -n "$dev" link set stac0 up
ip -n "$srv" addr add 10.77.0.2/24 dev stac0 && ip -n "$srv" link set stac0 up
ip -n "$dev" link set lo up && ip -n "$srv" link set lo up
shape() { tc -n "$dev" qdisc "$1" dev stac0 root handle 1: tbf rate "$2kbit" burst 1600 limit 64kb; }
shape add "$(head -1 "$out/shaping.csv" | cut -d, -f3)" || skip "the kernel has no tbf"
delay=0
if tc -n "$srv" qdisc add dev stac0 root netem delay 40ms 2> /dev/null; then delay=40; fi

server=("$stac" server --listen 10.77.0.2:7331)
[ -z "$network" ] || server+=(--network "$network")
ip netns exec "$srv" "${server[@]}" > "$out/server.log" 2>&1 &
children+=($!)

(
  while IFS=, read -r _ wait kbps; do
    shape change "$kbps"
    sleep "$wait"
  done < "$out/shaping.csv"
) &
children+=($!)

ip netns exec "$dev" "$stac" device --server 10.77.0.2:7331 --wait --input "$input" \
  --seconds "$seconds" --log "$out/device.jsonl" --summary "$out/summary.json" "$@"

awk -F, -v length_s="$seconds" -v delay="$delay" '
  $1 < length_s { w = $1 + $2 > length_s ? length_s - $1 : $2; sum += w * $3; all += w }
  END { printf "link: %.0f kb/s on average over %.0f s, %d ms of delay added\n", sum/all, all, delay }
  ' "$out/shaping.csv"
grep -E '"(video_kbps|p99|expired|frames_without_labels|mean_base_qp|mean_keyframe_fps)"' \
  "$out/summary.json" || true
echo "decisions of every second: $out/device.jsonl"
