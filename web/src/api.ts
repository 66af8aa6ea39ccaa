// The store's HTTP API (records/API.md) as the page uses it.

export interface PatientLabel {
  id: string;
  name: string;
  date_of_birth: string;
  gender: string;
}

export interface RecordSummary {
  id: string;
  store_seq: number;
  title: string;
  visiting_time: string;
  committed_at: string;
  patient: PatientLabel | null;
  ticket_id: string;
  revision: number;
  kind: string;
  case_type: string;
  visit_type: string;
  doctor: string;
  station_id: string;
  stages: string[];
  triangles: number;
  has_thumbnail: boolean;
}

export interface RecordFile {
  file_name: string;
  role: string;
  media_type: string;
  size_bytes: number;
  sha256: string;
  url: string;
}

export interface Quality {
  grade: number;
  reasons: string[];
  area_mm2: number;
  holes: number;
  largest_hole_mm: number;
  drift_mm: number | null;
  /** One standard deviation, exceeded by a twentieth of the vertices. */
  expected_error_mm: number | null;
}

/** Where a model lies in that of another stage. */
export interface Placement {
  into: string;
  /** Three rows of a rigid motion's 3 x 4, mm. */
  into_from_stage: number[];
  residual_mm: number;
}

export interface Stage {
  stage: string;
  triangles: number;
  frames: number;
  frames_tracked: number;
  frames_lost: number;
  frames_dropped: number;
  frames_broken: number;
  mean_residual_mm: number;
  quality: Quality | null;
  placement: Placement | null;
  /** As into_from_stage: x to the patient's right, y anterior, z up. Null: no whole arch. */
  anatomical_from_stage: number[] | null;
  files: RecordFile[];
}

export interface RecordDetail extends Omit<RecordSummary, 'stages'> {
  case_ref: string;
  note: string;
  teeth_fdi: number[];
  started_at: string;
  finished_at: string;
  device: { maker: string; model: string; serial: string; firmware: string; calibration_id: string };
  software_version: string;
  config_sha256: string;
  stages: Stage[];
  receipt: {
    store_seq: number;
    committed_at: string;
    envelope_sha256: string;
    outbox_epoch: string;
    outbox_seq: number;
  };
}

export interface RecordPage {
  records: RecordSummary[];
  next: number | null;
}

export interface StoreStatus {
  clinic_name: string;
  patients: number;
  tickets_open: number;
  records: number;
}

/** An answer other than success; status 0: the store could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function request(path: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { signal: signal ?? null, headers: { accept: 'application/json' } });
  } catch (failure) {
    if (signal?.aborted) throw failure;
    throw new ApiError(0, 'The records store does not answer.');
  }
  if (response.ok) return response;
  const problem: unknown = await response.json().catch(() => null);
  const detail =
    typeof problem === 'object' && problem !== null && 'detail' in problem ? String(problem.detail) : '';
  throw new ApiError(response.status, detail || `The store answered ${response.status}.`);
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(`/api/v1${path}`, signal)).json()) as T;
}

export const getStatus = () => get<StoreStatus>('/status');
export const getRecord = (id: string, signal?: AbortSignal) =>
  get<RecordDetail>(`/records/${encodeURIComponent(id)}`, signal);
export const getRecords = (before: number | null, signal?: AbortSignal) =>
  get<RecordPage>(`/records?limit=30${before === null ? '' : `&before=${before}`}`, signal);
export const thumbnailUrl = (id: string) => `/api/v1/records/${encodeURIComponent(id)}/thumbnail`;
