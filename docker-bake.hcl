// The matrix of images for `docker buildx bake`. A builder of the kind "docker" (the engine's own) takes one platform at
// a time: `make images` does that; a builder of the kind "docker-container" takes them together, and can push.

variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "" }
variable "REGISTRY" { default = "stratoswarm" }

group "default" { targets = ["agent"] }
group "all" { targets = ["agent", "coordinator"] }

target "common" {
  dockerfile = "Dockerfile.multiarch"
  args = { VERSION = VERSION, REVISION = REVISION }
}

target "agent" {
  inherits  = ["common"]
  target    = "agent"
  platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
  tags      = ["${REGISTRY}/swarmlet:latest", "${REGISTRY}/swarmlet:${VERSION}"]
}

target "coordinator" {
  inherits  = ["common"]
  target    = "coordinator"
  platforms = ["linux/amd64", "linux/arm64"]
  tags      = ["${REGISTRY}/coordinator:latest", "${REGISTRY}/coordinator:${VERSION}"]
}
