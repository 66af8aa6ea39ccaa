// A model's file from the store to a geometry in millimetres.
import { BufferGeometry } from 'three';
import { PLYLoader } from 'three/addons/loaders/PLYLoader.js';
import { STLLoader } from 'three/addons/loaders/STLLoader.js';
import { request, type RecordFile, type Stage } from './api';

const PLY = 'application/x-ply';
const STL = 'model/stl';
/** The attribute with a number for each vertex: one standard deviation, mm; where the file has it. */
export const EXPECTED_ERROR = 'expectedError';

/** The file to show: PLY shares its vertices, so it is smaller and smooth. */
export function fileToShow(stage: Stage): RecordFile | undefined {
  const models = stage.files.filter((file) => file.role === 'model');
  return models.find((file) => file.media_type === PLY) ?? models.find((file) => file.media_type === STL);
}

async function download(file: RecordFile, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<ArrayBuffer> {
  const response = await request(file.url, signal);
  if (!response.body) return response.arrayBuffer();
  const reader = response.body.getReader();
  const content = new Uint8Array(file.size_bytes);
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > content.length) throw new Error(`${file.file_name} is longer than its record says.`);
    content.set(value, filled);
    filled += value.length;
    onBytes(filled);
  }
  if (filled !== content.length) throw new Error(`${file.file_name} did not arrive whole.`);
  return content.buffer;
}

export async function loadModel(file: RecordFile, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<BufferGeometry> {
  const content = await download(file, signal, onBytes);
  let geometry: BufferGeometry;
  try {
    const ply = new PLYLoader();
    ply.setCustomPropertyNameMapping({ [EXPECTED_ERROR]: ['expected_error'] });
    geometry = file.media_type === PLY ? ply.parse(content) : new STLLoader().parse(content);
  } catch {
    throw new Error(`${file.file_name} can’t be read as a model.`);
  }
  if (!geometry.getAttribute('position')?.count) throw new Error(`${file.file_name} holds no surface.`);
  if (!geometry.getAttribute('normal')) geometry.computeVertexNormals();
  geometry.computeBoundingBox();
  return geometry;
}
