#!/usr/bin/env bash
# The program as its users run it: a short stream between two processes for each codec, what comes
# out of it, and what is said about mistakes.
#   commands_test.sh STAC
set -euo pipefail
stac=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() { echo "commands_test: $*"; exit 1; }

# refused WORDS ARGUMENTS...: the program ends with an error whose one line holds the words.
refused() {
  local words=$1 lines
  shift
  if lines=$("$stac" "$@" 2>&1 >"$folder/out"); then fail "stac $* was not refused"; fi
  grep -qF -- "$words" <<<"$lines" || fail "stac $* does not say \"$words\": $lines"
}

for command in bench calibrate compare demo device evaluate figures inspect merge segments server \
  simulate sweep train; do
  "$stac" $command --help >"$folder/help" || fail "stac $command --help fails"
  grep -q '^Usage: stac' "$folder/help" || fail "stac $command --help does not say how it is used"
done

for codec in h264 h265; do
  out=$folder/$codec
  "$stac" demo --input synthetic:320x192@10 --seconds 1 --codec $codec --out "$out" \
    >"$folder/out" 2>"$folder/log" || fail "the demo fails with $codec: $(tail -5 "$folder/log")"
  for file in video.$codec plan.jsonl summary.json report.html overlay.mp4; do
    [ -s "$out/$file" ] || fail "the demo with $codec leaves no $file"
  done
  ls "$out"/labels/*.png >/dev/null || fail "the demo with $codec leaves no labels"
done
"$stac" inspect "$folder/h264/video.h264" --plan "$folder/h264/plan.jsonl" --json >"$folder/audit" ||
  fail "inspect fails"
grep -q '"mismatched": 0$' "$folder/audit" || fail "the stream is not as planned: $(cat "$folder/audit")"

refused "cannot open" demo --input /nowhere.mp4
refused "--x264 goes with --codec h264" device --input synthetic:64x64@10 --codec h265 --x264 psy=1
refused "bogus=1" device --input synthetic:64x64@10 --wait --x264 bogus=1
refused "has no name" device --input synthetic:64x64@10 --name ""
refused "longer than 64" device --input synthetic:64x64@10 --name "$(printf 'x%.0s' {1..65})"
refused "--keyframe-fps" device --input synthetic:64x64@10 --keyframe-fps 2000
refused "--keyframe-fps is nan" device --input synthetic:64x64@10 --keyframe-fps nan
refused "--budget must be above 0, not -1" device --input synthetic:64x64@10 --budget -1
refused "--budget is nan" device --input synthetic:64x64@10 --budget nan
refused "--budget 1e-30 is out of reach" device --input synthetic:64x64@10 --budget 1e-30 \
  --profile "$(dirname "$0")/../assets/edge_city19.profile.json"
refused "--max-keyframe-fps" server --network /no.stacnet --max-keyframe-fps -1
refused "--max-keyframe-fps is nan" server --network /no.stacnet --max-keyframe-fps nan
refused "no.stacnet" server --network /no.stacnet
refused "h266" demo --codec h266
refused "loud" --log-level loud demo
if "$stac" --help >/dev/full 2>"$folder/log"; then fail "help that nobody got is a success"; fi

refused "--coarser is nan" device --input synthetic:64x64@10 --coarser nan
odd=$folder/str$(printf '\337')e
mkdir "$odd" && cp "$folder"/h264/labels/00000[0-4].png "$odd"
"$stac" demo --input "$odd" --seconds 1 --out "$folder/odd" >"$folder/out" 2>"$folder/log" ||
  fail "the demo fails on a name that is not UTF-8: $(tail -5 "$folder/log")"
mkdir -p "$folder/drive/labels" && touch "$folder/drive/labels/000001.png"
refused "choose another --out" demo --input synthetic:64x64@10 --out "$folder/drive"
[ -e "$folder/drive/labels/000001.png" ] || fail "the demo removes labels that are not its own"
cat "$folder/h264/plan.jsonl" "$folder/h264/plan.jsonl" >"$folder/longer.jsonl"
refused "has more" inspect "$folder/h264/video.h264" --plan "$folder/longer.jsonl"
if "$stac" inspect "$folder/h264/video.h264" --plan "$folder/h264/plan.jsonl" >/dev/full \
  2>"$folder/log"; then
  fail "a report that cannot be written is no error"
fi
grep -q "standard output could not be written" "$folder/log" ||
  fail "it is not said that a report cannot be written: $(tail -5 "$folder/log")"

# Messages that nobody gets stop nothing.
"$stac" demo --input synthetic:64x64@10 --seconds 1 --out "$folder/mute" >"$folder/out" \
  2>/dev/full || fail "the demo fails where its messages cannot be written"

# Labels are written before a server is there, too.
if "$stac" device --input synthetic:64x64@10 --wait --server 127.0.0.1:9 --labels - >/dev/full \
  2>"$folder/log"; then
  fail "labels that cannot be written are no error"
fi
grep -q "cannot write labels to standard output: No space" "$folder/log" ||
  fail "it is not said that labels cannot be written: $(tail -5 "$folder/log")"
