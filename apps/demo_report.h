#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "demo_evaluation.h"
#include "stac/base/result.h"

namespace stac {

// One self-contained page, report.html, beside the pictures it shows.
Status WriteDemoReport(const std::filesystem::path& out, const nlohmann::ordered_json& summary,
                       const DemoEvaluation& evaluation);

}  // namespace stac
