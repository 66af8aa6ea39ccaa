// One record: its models in 3D, whose it is, how it was made, its files.
import { Matrix4, Quaternion, type BufferAttribute } from 'three';
import { BITE_COLORS, loadBiteMap, type BiteMap } from './bite_map';
import { getRecord, type Placement, type Quality, type RecordDetail, type Stage } from './api';
import { el, facts } from './dom';
import { errorColors, errorMap } from './error_map';
import { bytes, count, day, kindName, moment, share, stageName } from './format';
import { fileToShow, loadModel } from './model_file';
import { failure } from './states';
import { Viewer, type Model, type Stand } from './viewer';

const COLORS = ['#efe3cc', '#d4dfe8', '#e8cfc6', '#d3e4d2', '#e5d8ec'];
const VIEWS = [
  { label: 'Shown', opacity: 1 },
  { label: 'Transparent', opacity: 0.35 },
  { label: 'Hidden', opacity: 0 },
];

const matrixOf = (rows: number[]) => new Matrix4().fromArray([...rows, 0, 0, 0, 1]).transpose();

/** From a stage's own coordinates to those of the jaw that it lies in at last: anatomical ones, where they are known. */
function placeOf(stage: Stage, stages: Stage[]): Matrix4 {
  const place = new Matrix4();
  let at: Stage | undefined = stage;
  for (let steps = 0; at?.placement && steps < stages.length; steps++) {
    const { into, into_from_stage: rows }: Placement = at.placement;
    place.premultiply(matrixOf(rows));
    at = stages.find((other) => other.stage === into);
  }
  if (at?.anatomical_from_stage) place.premultiply(matrixOf(at.anatomical_from_stage));
  return place;
}

/** A jaw alone is seen as in a dental chart: the upper from below with its front up, the lower from above, front down. */
function standOf(stage: Stage, stages: Stage[]): Stand {
  const place = placeOf(stage, stages);
  if (!stage.anatomical_from_stage) return { place, alone: null };
  const chart = stage.stage.includes('upper')
    ? new Matrix4().makeRotationY(Math.PI)
    : new Matrix4().makeRotationZ(Math.PI);
  return { place, alone: new Quaternion().setFromRotationMatrix(chart.multiply(matrixOf(stage.anatomical_from_stage))) };
}

const GRADES = ['', 'ideal', 'minor imperfections', 'usable on request', 'rescan'];

function qualityDetails(quality: Quality | null): HTMLElement[] {
  if (!quality) return [];
  const micrometres = (what: string, mm: number | null): [string, string][] => (mm === null ? [] : [[what, `${(mm * 1000).toFixed(0)} µm`]]);
  return [
    facts([
      ['Grade', `${quality.grade}: ${GRADES[quality.grade] ?? ''}`],
      ['Surface', `${(quality.area_mm2 / 100).toFixed(1)} cm²`],
      ['Holes', quality.holes === 0 ? 'none' : `${count(quality.holes)}, up to ${quality.largest_hole_mm.toFixed(1)} mm`],
      ...micrometres('Drift', quality.drift_mm),
      ...micrometres('Expected error, 95 %', quality.expected_error_mm),
    ]),
    ...(quality.reasons.length > 0 ? [el('ul', { className: 'reasons' }, ...quality.reasons.map((reason) => el('li', {}, reason)))] : []),
  ];
}

function stageDetails(stage: Stage): HTMLElement {
  return el(
    'details',
    {},
    el('summary', {}, stageName(stage.stage), el('span', { className: 'quiet' }, `${stage.quality ? `grade ${stage.quality.grade} · ` : ''}${count(stage.triangles)} triangles`)),
    ...qualityDetails(stage.quality),
    facts([
      ['Frames', count(stage.frames)],
      ['Tracked', `${count(stage.frames_tracked)} ${share(stage.frames_tracked, stage.frames)}`],
      ['Tracking lost', count(stage.frames_lost)],
      ['Dropped', count(stage.frames_dropped)],
      ['Damaged', count(stage.frames_broken)],
      ['Mean residual', `${(stage.mean_residual_mm * 1000).toFixed(0)} µm`],
      ['Lies in', stage.placement ? `${stageName(stage.placement.into)}, within ${(stage.placement.residual_mm * 1000).toFixed(0)} µm` : ''],
    ]),
    el(
      'ul',
      { className: 'files' },
      ...stage.files.map((file) =>
        el(
          'li',
          {},
          el('a', { href: file.url, download: file.file_name }, file.file_name),
          el('span', { className: 'quiet' }, bytes(file.size_bytes)),
          el('code', { title: `SHA-256 ${file.sha256}` }, file.sha256),
        ),
      ),
    ),
  );
}

interface Painted {
  model: Model;
  colors: BufferAttribute;
}

interface ColorMap {
  name: string;
  legend: HTMLElement;
  painted: Painted[];
}

function legendOf(label: string, colors: { color: string; label: string }[]): HTMLElement {
  return el(
    'ul',
    { className: 'legend', hidden: true, aria: { label } },
    ...colors.map((one) => {
      const swatch = el('span', { className: 'swatch' });
      swatch.style.backgroundColor = one.color;
      return el('li', {}, swatch, one.label);
    }),
  );
}

export class RecordPage {
  readonly element = el('div', { className: 'page record' });
  private readonly abort = new AbortController();
  private viewer: Viewer | null = null;

  constructor(private readonly id: string) {}

  async load(): Promise<void> {
    this.element.replaceChildren(el('p', { className: 'loading', role: 'status' }, 'Loading the record…'));
    try {
      const record = await getRecord(this.id, this.abort.signal);
      const stage = el('div', { className: 'stage' });
      const models = el('section', { className: 'panel models' }, el('h2', {}, 'Models'));
      this.element.replaceChildren(this.heading(record), el('div', { className: 'split' }, stage, this.side(record, models)));
      await this.show(record, stage, models);
    } catch (problem) {
      if (!this.abort.signal.aborted) this.element.replaceChildren(failure(problem, () => void this.load()));
    }
  }

  close(): void {
    this.abort.abort();
    this.viewer?.close();
    this.viewer = null;
  }

  private heading(record: RecordDetail): HTMLElement {
    const born = record.patient ? `born ${day(record.patient.date_of_birth)}` : 'not filed under a patient yet';
    return el(
      'header',
      { className: 'record-head' },
      el('a', { href: '#/', className: 'back' }, '← Records'),
      el(
        'div',
        { className: 'who' },
        el('h1', { className: record.patient ? '' : 'unassigned' }, record.patient?.name ?? 'Unassigned'),
        el('p', { className: 'born' }, born),
      ),
      el('p', { className: 'quiet' }, `${record.title} · ${moment(record.visiting_time)}`),
    );
  }

  private side(record: RecordDetail, models: HTMLElement): HTMLElement {
    return el(
      'div',
      { className: 'side' },
      models,
      el(
        'section',
        { className: 'panel' },
        el('h2', {}, 'Ticket'),
        facts([
          ['Kind', kindName(record.kind)],
          ['Case type', record.case_type],
          ['Visit', record.visit_type],
          ['Doctor', record.doctor],
          ['Teeth (FDI)', record.teeth_fdi.join(', ')],
          ['Note', record.note],
          ['Revision', record.revision > 1 ? String(record.revision) : ''],
        ]),
      ),
      el('section', { className: 'panel' }, el('h2', {}, 'Scan and files'), ...record.stages.map(stageDetails)),
      el(
        'section',
        { className: 'panel' },
        el('h2', {}, 'Device'),
        facts([
          ['Device', record.device.model || record.device.maker],
          ['Serial', record.device.serial],
          ['Firmware', record.device.firmware],
          ['Calibration', record.device.calibration_id],
          ['Station', record.station_id],
          ['Software', record.software_version],
        ]),
      ),
      el(
        'details',
        { className: 'panel' },
        el('summary', {}, 'Receipt'),
        facts([
          ['Stored', moment(record.receipt.committed_at)],
          ['Place in the store', String(record.receipt.store_seq)],
          ['Envelope SHA-256', record.receipt.envelope_sha256],
          ['Ticket', record.ticket_id],
        ]),
      ),
    );
  }

  private async show(record: RecordDetail, frame: HTMLElement, panel: HTMLElement): Promise<void> {
    const shown = record.stages.flatMap((stage) => {
      const file = fileToShow(stage);
      return file ? [{ stage, file }] : [];
    });
    if (shown.length === 0) {
      frame.append(el('p', { className: 'notice' }, 'This record has no model that can be shown.'));
      panel.remove();
      return;
    }
    const apart = shown.length > 1 && !record.stages.some((stage) => stage.placement);
    const anatomical = record.stages.some((stage) => stage.anatomical_from_stage && !stage.placement);
    let viewer: Viewer;
    try {
      viewer = this.viewer = new Viewer(frame, apart, anatomical);
    } catch {
      frame.append(el('p', { className: 'notice' }, 'This browser can’t show 3D (no WebGL). The files can be downloaded.'));
      panel.remove();
      return;
    }
    const tools = this.addTools(viewer, frame, shown.length > 1, apart);
    const bites: { model: Model; map: BiteMap }[] = [];
    const errors: Painted[] = [];
    const coarse = record.kind === 'face';
    const bar = el('progress', { max: 1, value: 0, aria: { label: 'Loading models' } });
    const label = el('p', {}, '');
    const loading = el('div', { className: 'notice', role: 'status' }, label, bar);
    frame.append(loading);
    const total = shown.reduce((sum, { file }) => sum + file.size_bytes, 0);
    let before = 0;
    for (const [index, { stage, file }] of shown.entries()) {
      label.textContent = `Loading ${stageName(stage.stage).toLowerCase()}, ${bytes(file.size_bytes)}`;
      const color = COLORS[index % COLORS.length] ?? '#ffffff';
      try {
        const geometry = await loadModel(file, this.abort.signal, (done) => (bar.value = (before + done) / total));
        const vertices = geometry.getAttribute('position').count;
        const model = viewer.add(geometry, color, standOf(stage, record.stages));
        panel.append(this.switchFor(viewer, model, stage, color));
        const colors = errorMap(geometry, coarse);
        if (colors) errors.push({ model, colors });
        const bite = stage.files.find(({ role }) => role === 'bite');
        if (bite) bites.push({ model, map: await loadBiteMap(bite, vertices, this.abort.signal) });
      } catch (problem) {
        if (this.abort.signal.aborted) return;
        panel.append(el('p', { className: 'bad' }, `${stageName(stage.stage)}: ${problem instanceof Error ? problem.message : 'can’t be shown'}`));
      }
      before += file.size_bytes;
    }
    loading.remove();
    const maps: ColorMap[] = [];
    if (bites.length > 0) {
      const bite = { name: 'Bite', legend: legendOf('Distance to the other jaw', BITE_COLORS), painted: bites.map(({ model, map }) => ({ model, colors: map.colors })) };
      maps.push(bite);
      this.addBite(bite, panel, bites.map(({ map }) => map));
    }
    if (errors.length > 0) {
      const accuracy = { name: 'Accuracy', legend: legendOf('Expected error, one standard deviation', errorColors(coarse)), painted: errors };
      maps.push(accuracy);
      panel.append(accuracy.legend);
    }
    this.addMaps(viewer, tools, maps);
  }

  private addBite(map: ColorMap, panel: HTMLElement, bites: BiteMap[]): void {
    panel.append(
      facts([
        ['Contact', `${Math.max(...bites.map((bite) => bite.contact_mm2)).toFixed(1)} mm²`],
        ['Bites through', bites.every((bite) => bite.through_mm2 === 0) ? 'nowhere' : `${Math.max(...bites.map((bite) => bite.through_mm2)).toFixed(2)} mm², up to ${(-1000 * Math.min(...bites.map((bite) => bite.deepest_mm))).toFixed(0)} µm`],
      ]),
      map.legend,
    );
  }

  /** Buttons, of which one at a time can be on, that colour the models. */
  private addMaps(viewer: Viewer, tools: HTMLElement, maps: ColorMap[]): void {
    const buttons = maps.map(({ name }) => el('button', { type: 'button', aria: { pressed: 'false' } }, name));
    for (const [index, button] of buttons.entries())
      button.onclick = () => {
        const on = button.getAttribute('aria-pressed') !== 'true';
        for (const [other, map] of maps.entries()) {
          const shown = on && other === index;
          buttons[other]?.setAttribute('aria-pressed', String(shown));
          map.legend.hidden = !shown;
          if (!shown) for (const { model } of map.painted) viewer.paint(model, null);
        }
        if (on) for (const { model, colors } of maps[index]?.painted ?? []) viewer.paint(model, colors);
      };
    tools.append(...buttons);
  }

  private addTools(viewer: Viewer, frame: HTMLElement, several: boolean, startsApart: boolean): HTMLElement {
    const tools = el('div', { className: 'tools' }, el('button', { type: 'button', onclick: () => viewer.fit() }, 'Fit'));
    if (several) {
      const layout = el('button', { type: 'button', aria: { pressed: String(startsApart) } }, 'Side by side');
      layout.onclick = () => {
        const apart = layout.getAttribute('aria-pressed') !== 'true';
        layout.setAttribute('aria-pressed', String(apart));
        viewer.setApart(apart);
      };
      tools.append(layout);
    }
    frame.append(tools);
    return tools;
  }

  private switchFor(viewer: Viewer, model: Model, stage: Stage, color: string): HTMLElement {
    const swatch = el('span', { className: 'swatch' });
    swatch.style.backgroundColor = color;
    const group = el('fieldset', { className: 'views' }, el('legend', {}, swatch, stageName(stage.stage)));
    for (const view of VIEWS)
      group.append(
        el(
          'label',
          {},
          el('input', {
            type: 'radio',
            name: `view-${stage.stage}`,
            checked: view.opacity === 1,
            onchange: () => viewer.setOpacity(model, view.opacity),
          }),
          el('span', {}, view.label),
        ),
      );
    return group;
  }
}
