#include "stac/lab/toml_reader_internal.h"

namespace stac {
namespace {

const std::vector<std::string> kHumanLabels = {"", "camvid11", "train_ids"};

}  // namespace

NetworkEntry ReadNetwork(TomlReader& reader, const toml::table& table) {
  reader.OnlyKeys(table, {"name", "path", "profile", "accmpeg"});
  NetworkEntry network{.name = reader.NeededText(table, "name"),
                       .path = reader.Path(table, "path")};
  if (table.contains("profile")) network.profile = reader.Path(table, "profile");
  if (table.contains("accmpeg")) network.accmpeg = reader.Path(table, "accmpeg");
  return network;
}

ClipEntry ReadClip(TomlReader& reader, const toml::table& table) {
  reader.OnlyKeys(
      table, {"name", "source", "first", "frames", "step", "max_width", "folder_fps", "human"});
  ClipEntry clip;
  clip.name = reader.NeededText(table, "name");
  clip.source = reader.Path(table, "source");
  clip.first = reader.Whole(table, "first", 0, 0, 1 << 30);
  clip.frames = reader.Whole(table, "frames", 0, 0, 1 << 30);
  clip.step = reader.Whole(table, "step", 1, 1, 1000);
  clip.max_width = reader.Whole(table, "max_width", 0, 0, 16384);
  clip.folder_fps = reader.Number(table, "folder_fps", 15, 0.1, 1000, false);
  clip.human = reader.Choice(table, "human", kHumanLabels, "");
  return clip;
}

}  // namespace stac
