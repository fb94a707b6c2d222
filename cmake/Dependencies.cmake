# Third-party libraries, all from Debian 12. Each is linked by one adapter only; README.md says why.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)

function(stac_pkg name modules)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${modules})
endfunction()

stac_pkg(FFMPEG "libavcodec;libavformat;libavutil;libswscale;libavdevice")
# The GnuTLS build, as FFmpeg's: two builds of libsrt in one process share symbols and crash.
stac_pkg(SRT_GNUTLS srt)
stac_pkg(PROTOBUF protobuf)
stac_pkg(XXHASH libxxhash)
stac_pkg(PNG libpng)
stac_pkg(JPEG libturbojpeg)
stac_pkg(LIBJPEG libjpeg)
stac_pkg(SQLITE sqlite3)
find_program(PROTOC protoc REQUIRED)

# OpenCV without its -dev metapackage (which pulls in hundreds of packages): the three modules we use.
find_path(OPENCV_INCLUDE_DIR opencv2/video.hpp PATH_SUFFIXES opencv4 REQUIRED)
add_library(stac_opencv INTERFACE)
target_include_directories(stac_opencv SYSTEM INTERFACE ${OPENCV_INCLUDE_DIR})
foreach(module core imgproc video)
  find_library(OPENCV_${module} opencv_${module} REQUIRED)
  target_link_libraries(stac_opencv INTERFACE ${OPENCV_${module}})
endforeach()

if(STAC_DEVICE)
  stac_pkg(X264 x264)
  stac_pkg(X265 x265)
endif()

if(STAC_SERVER)
  find_package(Torch REQUIRED)
  # ATen's headers run parallel loops on one thread wherever they are compiled without OpenMP.
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  add_library(stac_torch INTERFACE)
  target_link_libraries(stac_torch INTERFACE ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
  target_include_directories(stac_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
endif()
