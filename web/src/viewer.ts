// The 3D view of a record's models, in millimetres.
import {
  AmbientLight,
  Box3,
  BufferAttribute,
  BufferGeometry,
  Color,
  DirectionalLight,
  DoubleSide,
  InterleavedBufferAttribute,
  Matrix4,
  Mesh,
  MeshStandardMaterial,
  PerspectiveCamera,
  Quaternion,
  Scene,
  Vector3,
  WebGLRenderer,
} from 'three';
import { TrackballControls } from 'three/addons/controls/TrackballControls.js';

const FIELD_OF_VIEW_DEG = 30;
const GAP_MM = 6;
const FIT_MARGIN = 1.08;
const KEY_STEP_RAD = 0.12;

/** Which way the scanned surface looks: the mean of its normals. */
function facing(geometry: BufferGeometry): Vector3 {
  const normals = geometry.getAttribute('normal');
  const mean = new Vector3();
  for (let i = 0; i < normals.count; i++) {
    mean.x += normals.getX(i);
    mean.y += normals.getY(i);
    mean.z += normals.getZ(i);
  }
  mean.divideScalar(normals.count);
  // A closed cast looks everywhere at once.
  return mean.length() < 0.02 ? new Vector3(0, 0, 1) : mean.normalize();
}

/** How a model is to stand. */
export interface Stand {
  /** Where it lies among the others. */
  readonly place: Matrix4;
  /** Turns it as it is shown alone, towards +z and +y up; null: its own surface tells. */
  readonly alone: Quaternion | null;
}

export interface Model {
  readonly mesh: Mesh<BufferGeometry, MeshStandardMaterial>;
  readonly facing: Vector3;
  readonly stand: Stand;
  readonly own: { color: Color; colors: BufferAttribute | InterleavedBufferAttribute | null };
}

export class Viewer {
  readonly canvas: HTMLCanvasElement;
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, 1, 5000);
  private readonly controls: TrackballControls;
  private readonly observer: ResizeObserver;
  private readonly models: Model[] = [];
  private stale = true;

  /** Throws when the browser has no WebGL. */
  constructor(
    private readonly frame: HTMLElement,
    private apart: boolean,
    /** What lies among the others stands in the anatomical frame: y anterior, z up. */
    private readonly anatomical: boolean,
  ) {
    this.renderer = new WebGLRenderer({ antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.canvas = this.renderer.domElement;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', '3D view. Arrow keys turn, plus and minus zoom, F fits.');
    frame.append(this.canvas);

    // The lights travel with the camera, so that what faces the reader is lit.
    const key = new DirectionalLight(0xffffff, 2.5);
    key.position.set(-1, 1.1, 0.9);
    const fill = new DirectionalLight(0xdfe9ff, 0.8);
    fill.position.set(1, -0.4, 0.6);
    this.camera.add(key, key.target, fill, fill.target);
    this.scene.add(this.camera, new AmbientLight(0xffffff, 0.45));

    this.controls = new TrackballControls(this.camera, this.canvas);
    this.controls.rotateSpeed = 3.2;
    this.controls.zoomSpeed = 1.1;
    this.controls.panSpeed = 0.5;
    this.controls.dynamicDampingFactor = 0.18;
    this.controls.addEventListener('change', () => (this.stale = true));
    this.canvas.addEventListener('keydown', (event) => this.onKey(event));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(frame);
    this.resize();
    this.renderer.setAnimationLoop(() => this.draw());
  }

  add(geometry: BufferGeometry, color: string, stand: Stand): Model {
    const colors = geometry.getAttribute('color') ?? null;
    const own = { color: colors ? new Color(0xffffff) : new Color(color), colors };
    const material = new MeshStandardMaterial({
      color: own.color,
      vertexColors: colors !== null,
      roughness: 0.62,
      metalness: 0,
      side: DoubleSide,
    });
    const model = { mesh: new Mesh(geometry, material), facing: facing(geometry), stand, own };
    this.models.push(model);
    this.scene.add(model.mesh);
    this.arrange();
    return model;
  }

  /** A colour for each vertex; null: its own again. */
  paint(model: Model, colors: BufferAttribute | null): void {
    const { geometry, material } = model.mesh;
    const shown = colors ?? model.own.colors;
    if (shown) geometry.setAttribute('color', shown);
    else geometry.deleteAttribute('color');
    material.color.copy(colors ? new Color(0xffffff) : model.own.color);
    material.vertexColors = shown !== null;
    material.needsUpdate = true;
    this.stale = true;
  }

  /** 0 hides, 1 is solid. */
  setOpacity(model: Model, opacity: number): void {
    model.mesh.visible = opacity > 0;
    model.mesh.material.opacity = opacity;
    const transparent = opacity < 1;
    if (model.mesh.material.transparent !== transparent) {
      model.mesh.material.transparent = transparent;
      model.mesh.material.needsUpdate = true;
    }
    model.mesh.material.depthWrite = !transparent;
    this.stale = true;
  }

  /** Side by side, each facing the reader; or each where it lies among the others. */
  setApart(apart: boolean): void {
    this.apart = apart;
    this.arrange();
  }

  /** Looks at what is visible, from the front. */
  fit(): void {
    const box = new Box3();
    for (const { mesh } of this.models) if (mesh.visible) box.expandByObject(mesh);
    if (box.isEmpty()) return;
    const center = box.getCenter(new Vector3());
    const upright = this.anatomical && !this.apart;
    const from = this.apart
      ? new Vector3(0, -0.25, 1).normalize()
      : upright
        ? new Vector3(0.2, 1, 0.12).normalize()
        : (this.models[0]?.facing ?? new Vector3(0, 0, 1));
    this.camera.up.set(0, 1, 0);
    if (upright) this.camera.up.set(0, 0, 1);
    else if (Math.abs(from.y) > 0.95) this.camera.up.set(0, 0, -1);
    const distance = this.distanceFor(box, center, from);
    this.camera.position.copy(center).addScaledVector(from, distance);
    this.camera.near = distance / 100;
    this.camera.far = distance * 10;
    this.camera.updateProjectionMatrix();
    this.controls.target.copy(center);
    this.controls.minDistance = distance / 20;
    this.controls.maxDistance = distance * 5;
    this.controls.update();
    this.stale = true;
  }

  close(): void {
    this.renderer.setAnimationLoop(null);
    this.observer.disconnect();
    this.controls.dispose();
    for (const { mesh } of this.models) {
      mesh.geometry.dispose();
      mesh.material.dispose();
    }
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.canvas.remove();
  }

  private arrange(): void {
    let x = 0;
    for (const { mesh, facing: direction, stand } of this.models) {
      stand.place.decompose(mesh.position, mesh.quaternion, new Vector3());
      if (this.apart) {
        mesh.position.set(0, 0, 0);
        mesh.quaternion.copy(stand.alone ?? new Quaternion().setFromUnitVectors(direction, new Vector3(0, 0, 1)));
        mesh.updateMatrixWorld();
        const box = new Box3().setFromObject(mesh, true);
        const center = box.getCenter(new Vector3());
        mesh.position.set(x - box.min.x, -center.y, -center.z);
        x += box.max.x - box.min.x + GAP_MM;
      }
      mesh.updateMatrixWorld();
    }
    this.fit();
  }

  /** How far away every corner of the box is in the picture, with a margin. */
  private distanceFor(box: Box3, center: Vector3, from: Vector3): number {
    const right = new Vector3().crossVectors(this.camera.up, from).normalize();
    const up = new Vector3().crossVectors(from, right);
    const tangent = Math.tan((FIELD_OF_VIEW_DEG * Math.PI) / 360);
    let distance = 1;
    for (let corner = 0; corner < 8; corner++) {
      const point = new Vector3(
        corner & 1 ? box.max.x : box.min.x,
        corner & 2 ? box.max.y : box.min.y,
        corner & 4 ? box.max.z : box.min.z,
      ).sub(center);
      const wide = Math.abs(point.dot(right)) / (tangent * this.camera.aspect);
      const high = Math.abs(point.dot(up)) / tangent;
      distance = Math.max(distance, FIT_MARGIN * Math.max(wide, high) + point.dot(from));
    }
    return distance;
  }

  private onKey(event: KeyboardEvent): void {
    const turn = (axis: Vector3, angle: number) => {
      const rotation = new Quaternion().setFromAxisAngle(axis, angle);
      this.camera.position.sub(this.controls.target).applyQuaternion(rotation).add(this.controls.target);
      this.camera.up.applyQuaternion(rotation);
    };
    const right = () => new Vector3(1, 0, 0).applyQuaternion(this.camera.quaternion);
    const up = () => new Vector3(0, 1, 0).applyQuaternion(this.camera.quaternion);
    const zoom = (factor: number) =>
      this.camera.position.sub(this.controls.target).multiplyScalar(factor).add(this.controls.target);
    switch (event.key) {
      case 'ArrowLeft': turn(up(), -KEY_STEP_RAD); break;
      case 'ArrowRight': turn(up(), KEY_STEP_RAD); break;
      case 'ArrowUp': turn(right(), -KEY_STEP_RAD); break;
      case 'ArrowDown': turn(right(), KEY_STEP_RAD); break;
      case '+': zoom(0.9); break;
      case '-': zoom(1 / 0.9); break;
      case 'f': this.fit(); break;
      default: return;
    }
    event.preventDefault();
    this.controls.update();
    this.stale = true;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.frame;
    if (width === 0 || height === 0) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.controls.handleResize();
    this.stale = true;
  }

  private draw(): void {
    this.controls.update();
    if (!this.stale) return;
    this.stale = false;
    this.renderer.render(this.scene, this.camera);
  }
}
