#include <algorithm>
#include <cmath>
#include <iterator>

#include "stac/capture/synthetic_layout.h"
#include "stac/capture/synthetic_noise.h"
#include "stac/capture/synthetic_street.h"

namespace stac {

using namespace street_layout;

namespace {

uint8_t ToSample(float value) {
  return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
}

}  // namespace

Rgb Street::Shade(const StreetHit& hit) const {
  // The size of a pixel on a surface that faces the camera; others are seen at a slant, which
  // costs their texture some more detail.
  const auto distance = static_cast<float>(hit.distance);
  const float footprint = distance / static_cast<float>(camera_.focal);
  Colour colour{};
  switch (hit.surface) {
    case StreetHit::Surface::kSky:
      colour = ShadeSky(hit);
      break;
    case StreetHit::Surface::kGround:
      colour = ShadeGround(hit, footprint * std::max(1.0f, 0.25f * distance));
      break;
    case StreetHit::Surface::kHedge:
    case StreetHit::Surface::kFacade:
    case StreetHit::Surface::kBackdrop:
      colour = ShadeFacade(hit, footprint * std::max(1.0f, 0.07f * distance));
      break;
    case StreetHit::Surface::kObject:
      colour = ShadeObject(hit, footprint);
      break;
  }
  if (hit.surface != StreetHit::Surface::kSky) {
    const float haze = 1 - std::exp(-distance / 150);
    const auto mix = [haze](float& value, float far) { value += (far - value) * haze; };
    mix(colour.r, 203);
    mix(colour.g, 212);
    mix(colour.b, 223);
  }
  return {ToSample(colour.r), ToSample(colour.g), ToSample(colour.b)};
}

Street::Colour Street::ShadeSky(const StreetHit& hit) const {
  const auto forward = static_cast<float>(std::max(hit.point.z, 1e-3));
  const float azimuth = static_cast<float>(hit.point.x) / forward;
  const float elevation = std::max(static_cast<float>(hit.point.y) / forward, 0.0f);
  const float height = std::min(elevation * 1.6f, 1.0f);
  Colour sky{214 - 84 * height, 224 - 50 * height, 236 - 16 * height};
  const float cloud = std::clamp(
      Texture(seed_ + 1, azimuth * 4, elevation * 9, 1.0f, 4, 0.02f) * 1.6f + 0.1f, 0.0f, 1.0f);
  sky.r += (238 - sky.r) * cloud;
  sky.g += (240 - sky.g) * cloud;
  sky.b += (243 - sky.b) * cloud;
  return sky;
}

Street::Colour Street::ShadeGround(const StreetHit& hit, float footprint) const {
  const float grain = Texture(seed_ + 2, hit.u, hit.v, 1.9f, 5, footprint);
  Colour colour{};
  switch (GroundPartAt(hit.u, hit.v)) {
    case kAsphalt:
      colour = {92 + 22 * grain, 93 + 22 * grain, 97 + 22 * grain};
      break;
    case kPatch:
      colour = {74 + 20 * grain, 75 + 20 * grain, 79 + 20 * grain};
      break;
    case kMarking:
      colour = {205 + 30 * grain, 205 + 30 * grain, 198 + 30 * grain};
      break;
    case kKerbStone:
      colour = {172 + 20 * grain, 170 + 20 * grain, 165 + 20 * grain};
      break;
    case kPaving: {
      // Slabs of different shade with dark joints.
      const float slab_x = hit.u / 0.75f, slab_z = hit.v / 0.75f;
      const float detail = std::clamp(0.3f / footprint - 0.7f, 0.0f, 1.0f);
      const float shade = 14 * detail *
                          (Uniform(seed_ + 3, static_cast<int64_t>(std::floor(slab_x)),
                                   static_cast<int64_t>(std::floor(slab_z))) -
                           0.5f);
      const float joint_x = std::abs(slab_x - std::round(slab_x));
      const float joint_z = std::abs(slab_z - std::round(slab_z));
      const float fine = std::clamp(0.06f / footprint - 0.7f, 0.0f, 1.0f);
      const float joint = std::min(joint_x, joint_z) < 0.03f ? 26 * fine : 0;
      const float light = 152 + shade + 22 * grain - joint;
      colour = {light, light - 7, light - 15};
      break;
    }
  }
  if (InShadow(hit.u, hit.v)) {
    colour.r *= 0.42f;
    colour.g *= 0.42f;
    colour.b *= 0.46f;
  }
  return colour;
}

Street::Colour Street::ShadeFacade(const StreetHit& hit, float footprint) const {
  const Block block =
      BlockAt(seed_,
              hit.surface == StreetHit::Surface::kBackdrop ? std::copysign(kBackdrop, hit.point.x)
                                                           : std::copysign(kFacade, hit.point.x),
              hit.u);
  // The sun stands on the left, so the right-hand side is bright.
  const float sun = hit.point.x > 0 ? 1.0f : 0.76f;
  const float grain = Texture(block.seed, hit.u, hit.v, 2.3f, 5, footprint);
  if (block.hedge) {
    const float leaves = Texture(block.seed, hit.u, hit.v, 0.9f, 5, footprint);
    const float low = 0.65f + 0.35f * hit.v / static_cast<float>(block.height);
    const float light = sun * low * (1 + 0.75f * leaves);
    return {74 * light, 108 * light, 52 * light};
  }
  static constexpr Colour kWalls[] = {{158, 92, 74},   {206, 186, 150}, {171, 168, 164},
                                      {214, 205, 188}, {188, 150, 110}, {140, 112, 98},
                                      {196, 170, 160}, {168, 180, 176}};
  Colour wall = kWalls[MixBits(block.seed, 5) % std::size(kWalls)];
  float light = sun * (1 + 0.22f * grain);
  const auto storey = static_cast<int64_t>(std::floor((hit.v - kGroundFloor) / kStorey));
  const auto bay = static_cast<int64_t>(std::floor(hit.u / 1.57f));
  switch (FacadePart(block, hit.u, hit.v)) {
    case kWindow: {
      const float glass = Uniform(block.seed, bay, storey);
      const float reflection = 0.5f + 0.5f * ValueNoise(block.seed + 9, hit.u * 1.7f, hit.v * 1.3f);
      const float value = 38 + 42 * glass + 34 * reflection * glass;
      return {value * sun, (value + 9) * sun, (value + 20) * sun};
    }
    case kShop: {
      const float goods = 0.5f + 0.5f * Texture(block.seed + 7, hit.u, hit.v, 0.8f, 4, footprint);
      wall = {52 + 70 * goods, 50 + 62 * goods, 48 + 50 * goods};
      break;
    }
    case kCornice:
      light *= 1.12f;
      break;
    default:
      // Courses of brick or plaster.
      if (footprint < 0.06f && std::fmod(hit.v, 0.3f) < 0.035f) light *= 0.9f;
      if (hit.v < 0.5f) light *= 0.7f;
  }
  return {wall.r * light, wall.g * light, wall.b * light};
}

Street::Colour Street::ShadeObject(const StreetHit& hit, float footprint) const {
  const Object& object = objects_[static_cast<size_t>(hit.object)];
  const uint32_t sub = hit.part & 0xFFFu;
  const float grain = Texture(object.seed, hit.u, hit.v, 0.5f, 4, footprint);
  switch (object.kind) {
    case Kind::kTree: {
      if (sub == 0) return {86 + 30 * grain, 68 + 25 * grain, 52 + 20 * grain};
      const float leaves = Texture(object.seed, hit.u, hit.v, 1.1f, 5, footprint);
      const float low = 0.7f + 0.3f * hit.v / static_cast<float>(object.height);
      const float light = low * (1 + 0.8f * leaves) * (1 + 0.12f * hit.u);
      return {70 * light, 112 * light, 48 * light};
    }
    case Kind::kLamp:
      if (sub == 1) return {208, 206, 196};
      return {96 + 200 * hit.u, 100 + 200 * hit.u, 102 + 200 * hit.u};
    case Kind::kSign:
      if (sub == 0) return {128, 130, 132};
      if (MixBits(object.seed) % 2 == 0) {
        return sub == 1 ? Colour{196, 34, 40} : Colour{236, 236, 232};
      }
      return sub == 1 ? Colour{232, 234, 236} : Colour{30, 72, 168};
    case Kind::kSignal: {
      if (sub == 0) return {80, 84, 84};
      if (sub == 1) return {30, 32, 32};
      const auto lit = static_cast<uint32_t>(std::fmod(time_, 24.0) / 8.0);
      if (sub - 2 != lit) return {52, 50, 46};
      static constexpr Colour kLamps[] = {{236, 60, 40}, {240, 190, 40}, {60, 220, 110}};
      return kLamps[std::min<uint32_t>(lit, 2)];
    }
    case Kind::kPerson: {
      static constexpr Colour kClothes[] = {{168, 40, 44},   {44, 62, 120}, {40, 44, 48},
                                            {210, 206, 198}, {70, 110, 76}, {200, 150, 60}};
      if (sub == 2)
        return hit.v > 0.95f * static_cast<float>(object.height) ? Colour{60, 44, 34}
                                                                 : Colour{206, 164, 138};
      Colour colour = kClothes[MixBits(object.seed, 3 + sub) % std::size(kClothes)];
      const float light = 1 + 0.35f * grain + 0.7f * hit.u - (sub == 0 ? 0.2f : 0.0f);
      return {colour.r * light, colour.g * light, colour.b * light};
    }
    case Kind::kCar:
      break;
  }
  static constexpr Colour kPaints[] = {{176, 28, 32}, {30, 58, 118},   {228, 228, 226},
                                       {44, 46, 50},  {148, 152, 156}, {198, 196, 190},
                                       {34, 84, 66},  {222, 174, 46}};
  Colour paint = kPaints[MixBits(object.seed, 7) % std::size(kPaints)];
  const float height = hit.v / static_cast<float>(object.height);
  const bool faces_sun = hit.point.x < object.position.x;
  switch (sub) {
    case kGlass: {
      const float shine = 30 + 55 * std::clamp(height - 0.55f + 0.3f * grain, 0.0f, 1.0f);
      return {shine, shine + 6, shine + 14};
    }
    case kTyre: {
      const float rim = 28 + 16 * grain;
      return {rim, rim, rim + 2};
    }
    case kLight:
      return object.towards ? Colour{238, 236, 214} : Colour{196, 24, 26};
    case kPlate:
      return {226, 224, 206};
    case kTop: {
      const float light = 1.12f + 0.08f * grain;
      return {paint.r * light + 14, paint.g * light + 16, paint.b * light + 18};
    }
    default: {
      // Bodywork: darker towards the sill, with a seam.
      float light = (faces_sun ? 0.98f : 0.72f) * (0.55f + 0.75f * height) + 0.07f * grain;
      if (std::abs(hit.u - 0.1f) < 0.025f) light *= 0.7f;
      return {paint.r * light, paint.g * light, paint.b * light};
    }
  }
}

}  // namespace stac
