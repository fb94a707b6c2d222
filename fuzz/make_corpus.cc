// Writes the seeds of all fuzz targets:  make_corpus fuzz/corpus
// Everything is generated here from synthetic data, so that the origin of each file is known.

#include <cstdio>
#include <filesystem>
#include <string>
#include <variant>

#include "fuzz_maps.h"
#include "stac/adapt/trace.h"
#include "stac/base/bytes.h"
#include "stac/base/file.h"
#include "stac/codec/jpeg_codec.h"
#include "stac/codec/label_coder.h"
#include "stac/codec/motion_coder.h"
#include "stac/codec/video_encoder.h"
#include "stac/quant/profile.h"
#include "stac/wire/messages.h"

namespace stac {
namespace {

std::filesystem::path folder;

void Write(const std::string& name, ByteSpan bytes) {
  if (const Status status = WriteFile(folder / name, bytes); !status) {
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    std::exit(1);
  }
}

void WriteWire() {
  const Message messages[] = {
      Hello{.device = "camera", .width = 640, .height = 352, .fps = 15, .profile_hash = "0badcafe"},
      Welcome{.accepted = true, .network = "net", .class_count = 19, .profile_json = "{}"},
      Welcome{.accepted = false, .reason = "full"},
      CodedFrame{.frame = 7, .capture_time = -5, .idr = true, .access_unit = {0, 0, 0, 1, 0x65}},
      PropagatedLabels{.frame = 9, .anchor = 7, .coded = {1, 2, 3}},
      Levels{.frame = 7, .previous = 6, .coded = {1, 2, 3}},
      Labels{.frame = 7, .coded = {4, 5}},
      ServerStats{.frame = 7, .processing_ms = 50, .queue = 2, .error = "damaged"},
      Configuration{.base_qp = 30, .keyframe_fps = 2},
      Bye{.reason = "done"},
      PropagatedMotion{.frame = 9, .anchor = 7, .previous = 8, .coded = {1, 2, 3}}};
  int number = 0;
  for (const Message& message : messages) {
    Write(fmt::format("wire/{}_{}", number++, message.index()), Serialize(message));
  }
}

void WriteFragments() {
  Write("fragments/whole", Bytes{7, 3, 0, 0, 0, 1, 2, 3, 5, 1, 0, 0, 0, 9});
  Write("fragments/parts", Bytes{5, 4, 0, 0, 0, 1, 2, 2, 3, 1, 4});
}

void WriteTraces() {
  Write("trace/csv", AsBytes(ToCsv(SyntheticWifiTrace(12, 1))));
  Write("trace/pensieve", AsBytes("0.5 1.5\n1.5 0.25\n2.5 3\n"));
  Write("trace/mahimahi", AsBytes("10\n20\n20\n140\n350\n"));
}

void WriteTunerInputs() {
  Write("tuner/two_layers",
        AsBytes(R"({"format":"stac-tuner-1","origin":"seed","input_mean":[0,0,5,0,0,0],)"
                R"("input_scale":[1,1,2,1,1,1],"layers":[{"weights":[[-1,1,0,0,0,0],)"
                R"([0,0,1,0,0.5,0]],"bias":[0,1]},{"weights":[[-1,0],[0.5,1]],"bias":[0,0]}]})"));
  Write("profile_table/three_rows",
        AsBytes("base_qp,keyframe_fps,scale,accuracy,kbps\n20,5,1,0.95,900\n30,5,0.5,0.9,400\n"
                "40,1,1,0.7,100\n"));
  Write("segment_table/three_rows",
        AsBytes("system,network,clip,segment,base_qp,keyframe_fps,scale,accuracy,kbps,video_kbps,"
                "c,d\nstac,net,street,0,30,5,1,0.9,420,400,2.5e+06,8e+06\n"
                "stac,net,street,0,40,1,0.5,0.7,100,90,2.5e+06,8e+06\n"
                "stac,net,street,1,30,5,1,0.95,300,280,2e+06,4e+06\n"));
}

void WriteMaps() {
  for (const int size : {1, 17, 64}) {
    const Grid<uint8_t> map = StripedMap(size, (size + 1) / 2, 3);
    const Grid<uint8_t> previous = StripedMap(size, (size + 1) / 2, 0);
    for (const bool predicted : {false, true}) {
      const auto labels = EncodeLabels(map, predicted ? &previous : nullptr);
      if (!labels) std::exit(1);
      const std::string name = fmt::format("{}_{}", size, predicted ? "predicted" : "plain");
      Write("labels/" + name, WriteMapInput(map, predicted, *labels));
      const auto coarse = EncodeLabelsAtGrid(map, 3, predicted ? &previous : nullptr);
      if (!coarse) std::exit(1);
      Write("labels/" + name + "_grid3", WriteMapInput(map, predicted, coarse->bytes));
      Write("levels/" + name,
            WriteMapInput(map, predicted, EncodeLevels(map, predicted ? &previous : nullptr)));
    }
  }
}

void WriteMotion() {
  BlockMotion motion = StillBlocks(100, 70);
  Write("motion/still", EncodeMotion(motion, nullptr));
  for (size_t i = 0; i < motion.then_from_now.size(); ++i) {
    motion.then_from_now[i] = {static_cast<int16_t>(i * i % 50), -40};
  }
  Write("motion/uneven", EncodeMotion(motion, nullptr));
}

Frame StripedFrame(int width, int height, int shift) {
  Frame frame(width, height);
  for (int i = 0; i < 3; ++i) {
    const Grid<uint8_t> map = StripedMap(frame.plane(i).width, frame.plane(i).height, shift + i);
    for (int y = 0; y < map.height(); ++y) {
      for (int x = 0; x < map.width(); ++x) {
        frame.MutablePlane(i)[y * frame.plane(i).stride + x] =
            static_cast<uint8_t>(60 + 20 * map(x, y));
      }
    }
  }
  return frame;
}

void WriteVideo(const std::string& name, const auto& make_encoder) {
  EncoderOptions options;
  options.width = 48;
  options.height = 32;
  auto encoder = make_encoder(options);
  if (!encoder) std::exit(1);
  const QpMap qp(3, 2, 30);
  Bytes both;
  for (int i = 0; i < 2; ++i) {
    const auto coded = (*encoder)->Encode(StripedFrame(48, 32, i), &qp, i == 0);
    if (!coded) std::exit(1);
    Write(fmt::format("{}/{}", name, i == 0 ? "idr" : "predicted"), coded->access_unit);
    both.insert(both.end(), coded->access_unit.begin(), coded->access_unit.end());
  }
  Write(name + "/both", both);
}

void WritePictures() {
  for (const int quality : {5, 75}) {
    const auto jpeg = EncodeJpeg(StripedFrame(48, 32, 0), StandardTables(quality));
    if (!jpeg) std::exit(1);
    Write(fmt::format("jpeg/quality_{}", quality), *jpeg);
  }
  WriteVideo("h264", MakeX264Encoder);
  WriteVideo("h265", MakeX265Encoder);
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  using namespace stac;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  folder = argv[1];
  WriteWire();
  WriteFragments();
  WriteTraces();
  WriteTunerInputs();
  WriteMaps();
  WriteMotion();
  WritePictures();
  Profile profile = UncalibratedProfile("net", "0badcafe", 19);
  profile.revision = "seed";  // the same from every build
  Write("profile/uncalibrated", AsBytes(ToJson(profile)));
  return 0;
}
