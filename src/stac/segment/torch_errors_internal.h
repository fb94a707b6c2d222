#pragma once

#include <exception>
#include <string>

namespace stac {

// What a LibTorch exception says, on one line: without C++ back trace and TorchScript trace.
std::string TorchMessage(const std::exception& error);

}  // namespace stac
