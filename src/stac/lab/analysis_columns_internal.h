#pragma once

#include "stac/lab/experiment_spec.h"

namespace stac {

// The header of an analysis' file; empty for a matrix of systems.
inline const char* ColumnsOf(FigureKind figure) {
  switch (figure) {
    case FigureKind::kGradientMaps:
      return "network,clip,file,columns,rows,low,high";
    case FigureKind::kLossGap:
      return "network,clip,frame,base_qp,size_kb,dq_uniform,dq_stac,gap";
    case FigureKind::kFakeLoss:
      return "network,clip,qp,error_sum,loss_true,loss_fake";
    case FigureKind::kLevelDeviation:
      return "network,clip,rule,distance,deviation,share";
    case FigureKind::kAllocationBound:
      return "network,clip,frame,rule,base_qp,bits,pa";
    case FigureKind::kAccuracyBitrate:
      break;
  }
  return "";
}

}  // namespace stac
