#include "demo_evaluation.h"

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "demo_pictures.h"
#include "network_files.h"
#include "stac/base/file.h"
#include "stac/base/progress.h"
#include "stac/capture/frame_source.h"
#include "stac/capture/mp4_writer.h"
#include "stac/codec/nal_units.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"
#include "stac/server/server_session.h"
#include "stac/video/accuracy.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

// The keyframe that the still pictures show: the middle one of the run, as the server saw it.
struct ShownKeyframe {
  FrameId id = 0;
  Frame decoded;
};

Result<ShownKeyframe> DecodeMiddleKeyframe(const fs::path& out, VideoCodec codec) {
  const fs::path file = out / fmt::format("video.{}", ToString(codec));
  STAC_ASSIGN_OR_RETURN(const Bytes stream, ReadFile(file));
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<VideoDecoder> decoder, MakeVideoDecoder({.codec = codec}));
  const std::vector<ByteSpan> access_units = SplitAccessUnits(stream, codec);
  if (access_units.empty()) return Fail("the device sent no keyframe: nothing to show");
  std::ifstream plan(out / "plan.jsonl");
  ShownKeyframe shown;
  std::string line;
  for (size_t i = 0; i <= access_units.size() / 2 && i < access_units.size(); ++i) {
    STAC_ASSIGN_OR_RETURN(DecodedFrame decoded, decoder->Decode(access_units[i]));
    shown.decoded = std::move(decoded.frame);
    if (!std::getline(plan, line)) return Fail("plan.jsonl is shorter than {}", file.string());
    shown.id = nlohmann::json::parse(line)["frame"].get<FrameId>();
  }
  return shown;
}

class OverlayVideo {
 public:
  static Result<OverlayVideo> Create(const fs::path& path, const SourceInfo& info) {
    OverlayVideo video;
    EncoderOptions options;
    options.width = info.width;
    options.height = info.height;
    options.fps = info.fps;
    options.color = info.color;
    options.mode = RateMode::kCrf;
    options.crf = 24;
    options.preset = "veryfast";
    STAC_ASSIGN_OR_RETURN(video.encoder_, MakeX264Encoder(options));
    STAC_ASSIGN_OR_RETURN(video.writer_, MakeMp4Writer(path, info.width, info.height, info.fps));
    return video;
  }
  Status Add(const Frame& frame, const LabelMap& labels, const ClassList& classes) {
    Frame overlay = FrameFromRgb(OverlayPicture(frame, labels, classes), frame.color());
    STAC_ASSIGN_OR_RETURN(const EncodedFrame coded, encoder_->Encode(overlay, nullptr, false));
    return writer_->Write(coded.access_unit, frame.pts, coded.idr);
  }
  Status Finish() { return writer_->Finish(); }

 private:
  std::unique_ptr<VideoEncoder> encoder_;
  std::unique_ptr<Mp4Writer> writer_;
};

Status WriteStills(const DemoRun& run, const ShownKeyframe& shown, const Frame& raw,
                   const LabelMap& delivered, const LabelMap& reference, Segmenter& segmenter,
                   const ClassList& classes) {
  STAC_ASSIGN_OR_RETURN(const Profile profile,
                        LoadProfile(run.profile, run.network, segmenter.info()));
  SystemClock clock;
  ServerOptions server;
  server.objective.kind = ObjectiveKind::kFakeLabelLoss;  // the server's default
  ServerSession session(server, profile, segmenter.info(), MakeVideoDecoder, &clock);
  Hello hello;
  hello.width = raw.width();
  hello.height = raw.height();
  hello.fps = 1;
  hello.color = raw.color();
  session.OnHello(hello);
  PendingFrame pending{.frame = shown.decoded};
  pending.configuration.base_qp = run.base_qp;
  STAC_ASSIGN_OR_RETURN(const ServerAnswer answer, session.Segment(pending, segmenter, 0));

  const int width = raw.width();
  const int height = raw.height();
  STAC_RETURN_IF_ERROR(WritePng(run.out / "frame.png", RgbFromFrame(raw)));
  STAC_RETURN_IF_ERROR(WritePng(run.out / "decoded.png", RgbFromFrame(shown.decoded)));
  STAC_RETURN_IF_ERROR(WritePng(run.out / "labels.png", OverlayPicture(raw, delivered, classes)));
  STAC_RETURN_IF_ERROR(
      WritePng(run.out / "reference.png", OverlayPicture(raw, reference, classes)));
  STAC_RETURN_IF_ERROR(
      WritePng(run.out / "sensitivity.png", HeatPicture(answer.sensitivity, width, height)));
  STAC_RETURN_IF_ERROR(WritePng(run.out / "levels.png",
                                LevelPicture(answer.levels, profile.level_count, width, height)));
  return WritePng(run.out / "difference.png", DifferencePicture(raw, delivered, reference));
}

}  // namespace

Result<DemoEvaluation> EvaluateDemo(const DemoRun& run) {
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<Segmenter> segmenter,
                        LoadSegmenter(run.network, {.precision = Precision::kAuto}));
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source, OpenSource(run.input));
  STAC_ASSIGN_OR_RETURN(const ShownKeyframe shown, DecodeMiddleKeyframe(run.out, run.codec));
  const ClassList classes = DefaultClasses(segmenter->info().class_count);
  STAC_ASSIGN_OR_RETURN(OverlayVideo video,
                        OverlayVideo::Create(run.out / "overlay.mp4", source->info()));

  DemoEvaluation evaluation{.network = segmenter->info().name};
  ConfusionMatrix all(segmenter->info().class_count);
  LabelMap delivered(source->info().width, source->info().height, kUnlabelled);
  Progress progress("comparing", run.frames);
  for (int64_t i = 0; i < run.frames && !stop_requested; ++i) {
    STAC_ASSIGN_OR_RETURN(const std::optional<Frame> frame, source->Next());
    if (!frame) break;
    // A frame that the device had to skip shows the labels before it.
    const fs::path file = run.out / fmt::format("labels/{:06}.png", frame->id);
    if (fs::exists(file)) {
      STAC_ASSIGN_OR_RETURN(delivered, ReadLabelPng(file));
      if (!delivered.SameSize(frame->width(), frame->height())) {
        return Fail("{} is not as large as the video's frames", file.string());
      }
    }
    STAC_ASSIGN_OR_RETURN(const Segmentation reference, segmenter->Run(*frame));
    ConfusionMatrix one(all.class_count());
    one.Add(reference.labels, delivered);
    all.Merge(one);
    evaluation.pa_of_frame.push_back(one.PixelAccuracy());
    STAC_RETURN_IF_ERROR(video.Add(*frame, delivered, classes));
    if (frame->id == shown.id) {
      STAC_RETURN_IF_ERROR(
          WriteStills(run, shown, *frame, delivered, reference.labels, *segmenter, classes));
    }
    progress.Update(i + 1, fmt::format("PA {:.2f} %", 100 * all.PixelAccuracy()));
  }
  if (stop_requested) return Fail("interrupted; the files of this run are in {}", run.out.string());
  STAC_RETURN_IF_ERROR(video.Finish());
  evaluation.pixel_accuracy = all.PixelAccuracy();
  evaluation.mean_iou = all.MeanIou();
  return evaluation;
}

}  // namespace stac
