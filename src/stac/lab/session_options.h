#pragma once

#include "stac/lab/lab_tools.h"
#include "stac/lab/system_spec.h"
#include "stac/quant/profile.h"

namespace stac {

// How the production sessions have to be set up to be a given system.
DeviceOptions DeviceOptionsOf(const SystemSpec& spec, const Frame& first_frame, double fps);
ServerOptions ServerOptionsOf(const SystemSpec& spec, uint64_t seed);
Configuration ConfigurationOf(const SystemSpec& spec);
// The network's profile with the system's own ladder.
Profile ProfileOf(const SystemSpec& spec, const Profile& network_profile);

// True if levels computed by the server steer the encoder: only then are levels sent and counted.
bool UsesLevels(const SystemSpec& spec);
// True if a QP per macroblock is planned at all (not by x264 itself, not JPEG).
bool PlansQp(const SystemSpec& spec);
// Of the first frame's planned QP. Systems without such a setting: what x264's own rate control
// takes.
double FirstOffset(const SystemSpec& spec);
// Somebody but the server needs the server's labels: the device shows or propagates them.
bool DeviceNeedsLabels(const SystemSpec& spec);
// Keyframes per second: never more than the clip has.
double KeyframeRate(const SystemSpec& spec, double clip_fps);

// The system's quality knob as a QP: that of the quantization step for GRACE, x264's rate factor
// for CRF; NaN for systems whose knob is no quality (a bitrate, a JPEG quality).
double QualityQp(const SystemSpec& spec);

DeviceSession::EncoderFactory EncoderOf(const SystemSpec& spec, const Profile& profile, double fps,
                                        const LabTools& tools);
ServerSession::DecoderFactory DecoderOf(const SystemSpec& spec, ColorSpec color,
                                        const LabTools& tools);

}  // namespace stac
