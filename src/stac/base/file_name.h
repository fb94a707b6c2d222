#pragma once

#include <string>
#include <string_view>

namespace stac {

// `text`, which may come from anywhere, as the name of a file or folder: what is no letter, digit,
// '.', '-' or '@' becomes '_', and it does not start with a '.'.
inline std::string FileNameOf(std::string_view text) {
  constexpr std::string_view kKept =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-@";
  std::string name(text);
  for (char& c : name) {
    if (kKept.find(c) == std::string_view::npos) c = '_';
  }
  return name.starts_with('.') ? "_" + name : name;
}

}  // namespace stac
