cusp_library(cusp_arch_scene
  SOURCES arch_scene.cc dentition.cc gingiva.cc surface_nets.cc tooth_forms.cc tooth_shape.cc
  DEPENDS cusp_core)
