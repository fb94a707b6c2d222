#pragma once

// For tests.

namespace stac {

// Twelve pictures of the synthetic street; two passes over them are twelve steps of two.
inline constexpr const char* kTinyRecipe = R"(
[network]
definition = "edge"
classes = 19
[train]
seed = 3
steps = 12
batch = 2
crop_width = 64
crop_height = 64
learning_rate = 5e-3
warmup_steps = 1
ema_decay = 0.9
checkpoint_every = 2
device = "cpu"
[augment]
scale_min = 0.8
scale_max = 1.2
flip = true
brightness = 0.2
tint = 0.1
[[data]]
kind = "synthetic"
path = "96x64@15:2"
max_pictures = 12
)";

}  // namespace stac
