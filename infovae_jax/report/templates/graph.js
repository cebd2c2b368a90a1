// Runs a graph of infovae_jax/export/graphs.py; what export/numpy_runtime.py does with
// NumPy. A tensor is {shape, data}, its numbers row by row. `b` is the number of rows.
const infovaeGraph = (() => {
  const count = (shape) => shape.reduce((a, b) => a * b, 1);
  const tensor = (shape, data) => ({
    shape,
    data: data || new Float32Array(count(shape)),
  });

  function stepsOf(shape) {
    const steps = new Array(shape.length).fill(1);
    for (let i = shape.length - 2; i >= 0; i--) steps[i] = steps[i + 1] * shape[i + 1];
    return steps;
  }

  // Calls visit(n, at) for the n-th index of `shape`, at = start + sum index * steps.
  function walk(shape, steps, start, visit) {
    const size = count(shape);
    const index = new Array(shape.length).fill(0);
    let at = start;
    for (let n = 0; n < size; n++) {
      visit(n, at, index);
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at += steps[axis];
        if (++index[axis] < shape[axis]) break;
        at -= steps[axis] * shape[axis];
        index[axis] = 0;
      }
    }
  }

  function gathered(data, shape, steps, start = 0) {
    const made = tensor(shape);
    walk(shape, steps, start, (n, at) => {
      made.data[n] = data[at];
    });
    return made;
  }

  // 'b' and '3*b' as numbers.
  function dims(shape, rows) {
    return shape.map((dim) => {
      if (typeof dim === "number") return dim;
      const found = /^(?:(\d+)\*)?b$/.exec(dim);
      if (!found) throw new Error(`a shape with '${dim}'`);
      return Number(found[1] || 1) * rows;
    });
  }

  function broadcast(x, shape, axes) {
    const own = stepsOf(x.shape);
    const steps = new Array(shape.length).fill(0);
    axes.forEach((axis, i) => {
      steps[axis] = x.shape[i] === 1 ? 0 : own[i];
    });
    return gathered(x.data, shape, steps);
  }

  // As NumPy does it: axes are matched from the last one on.
  function spread(x, shape) {
    if (count(x.shape) === count(shape) || !x.shape.length) return x.data;
    const first = shape.length - x.shape.length;
    return broadcast(x, shape, x.shape.map((_, i) => first + i)).data;
  }

  function commonShape(tensors) {
    const rank = Math.max(...tensors.map((x) => x.shape.length));
    return Array.from({ length: rank }, (_, i) => {
      const sizes = tensors.map((x) => x.shape[x.shape.length - rank + i] ?? 1);
      return sizes.find((size) => size !== 1) ?? 1;
    });
  }

  function elementwise(operation) {
    return (node, rows, ...x) => {
      const made = tensor(commonShape(x));
      const [a, b, c] = x.map((part) => spread(part, made.shape));
      // A scalar stays one number.
      const [i, j, k] = x.map((part) => (part.shape.length ? 1 : 0));
      for (let n = 0; n < made.data.length; n++) {
        made.data[n] = operation(a[n * i], b && b[n * j], c && c[n * k]);
      }
      return made;
    };
  }

  function transposed(x, axes) {
    if (axes.every((axis, i) => axis === i)) return x;
    const own = stepsOf(x.shape);
    const shape = axes.map((axis) => x.shape[axis]);
    return gathered(x.data, shape, axes.map((axis) => own[axis]));
  }

  const others = (x, axes) => x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const sizes = (x, axes) => axes.map((axis) => x.shape[axis]);

  // `combine(numbers, first, last)` of the numbers along the axes.
  function along(x, axes, combine) {
    const kept = others(x, axes);
    const moved = transposed(x, [...kept, ...axes]);
    const made = tensor(sizes(x, kept));
    const length = count(sizes(x, axes));
    for (let n = 0; n < made.data.length; n++) {
      made.data[n] = combine(moved.data, n * length, (n + 1) * length);
    }
    return made;
  }

  function reduced(start, operation) {
    return (node, rows, x) =>
      along(x, node.axes, (data, first, last) => {
        let total = start;
        for (let i = first; i < last; i++) total = operation(total, data[i]);
        return total;
      });
  }

  function place(better) {
    return (node, rows, x) =>
      along(x, [node.axes[0]], (data, first, last) => {
        let best = first;
        for (let i = first + 1; i < last; i++) if (better(data[i], data[best])) best = i;
        return best - first;
      });
  }

  function dot(node, rows, x, y) {
    const [left, right] = node.contract;
    const [batchX, batchY] = node.batch;
    const freeX = others(x, [...left, ...batchX]);
    const freeY = others(y, [...right, ...batchY]);
    const a = transposed(x, [...batchX, ...freeX, ...left]).data;
    const b = transposed(y, [...batchY, ...right, ...freeY]).data;
    const made = tensor([...sizes(x, batchX), ...sizes(x, freeX), ...sizes(y, freeY)]);
    const down = count(sizes(x, freeX));
    const inner = count(sizes(x, left));
    const across = count(sizes(y, freeY));
    const sums = new Float64Array(across);
    for (let row = 0; row < made.data.length / across; row++) {
      const start = Math.floor(row / down) * inner * across;
      sums.fill(0);
      for (let k = 0; k < inner; k++) {
        const factor = a[row * inner + k];
        if (factor === 0) continue; // of a relu about half are, and weights are finite
        const at = start + k * across;
        for (let n = 0; n < across; n++) sums[n] += factor * b[at + n];
      }
      made.data.set(sums, row * across);
    }
    return made;
  }

  // Of images [B, H, W, I] with kernels [k, l, I, O]; `dilation` is of the images.
  function convolution(node, rows, x, kernel) {
    const [batch, height, width, inputs] = x.shape;
    const [tall, wide, , outputs] = kernel.shape;
    const extent = [height, width].map(
      (size, i) => (size - 1) * node.dilation[i] + 1 + node.padding[i][0] + node.padding[i][1],
    );
    const [high, broad] = [tall, wide].map(
      (size, i) => Math.floor((extent[i] - size) / node.strides[i]) + 1,
    );
    const made = tensor([batch, high, broad, outputs]);
    const sums = new Float64Array(outputs);
    // The input that tap k of output n meets on an axis, or -1.
    const met = (axis, n, k, size) => {
      const at = n * node.strides[axis] + k - node.padding[axis][0];
      const from = at / node.dilation[axis];
      return at >= 0 && Number.isInteger(from) && from < size ? from : -1;
    };
    for (let n = 0; n < batch * high * broad; n++) {
      const column = n % broad;
      const row = Math.floor(n / broad) % high;
      const image = Math.floor(n / (broad * high));
      sums.fill(0);
      for (let k = 0; k < tall; k++) {
        const i = met(0, row, k, height);
        for (let l = 0; i >= 0 && l < wide; l++) {
          const j = met(1, column, l, width);
          if (j < 0) continue;
          const pixel = ((image * height + i) * width + j) * inputs;
          for (let c = 0; c < inputs; c++) {
            const factor = x.data[pixel + c];
            if (factor === 0) continue;
            const at = ((k * wide + l) * inputs + c) * outputs;
            for (let o = 0; o < outputs; o++) sums[o] += factor * kernel.data[at + o];
          }
        }
      }
      made.data.set(sums, n * outputs);
    }
    return made;
  }

  function sliced(x, start, limit, strides) {
    const own = stepsOf(x.shape);
    const shape = start.map((first, i) => Math.ceil((limit[i] - first) / strides[i]));
    const at = start.reduce((sum, first, i) => sum + first * own[i], 0);
    return gathered(x.data, shape, own.map((step, i) => step * strides[i]), at);
  }

  function split(node, rows, x) {
    let first = 0;
    return node.sizes.map((size) => {
      const start = x.shape.map((_, i) => (i === node.axis ? first : 0));
      const limit = x.shape.map((n, i) => (i === node.axis ? first + size : n));
      first += size;
      return sliced(x, start, limit, x.shape.map(() => 1));
    });
  }

  function concatenate(node, rows, ...x) {
    const shape = [...x[0].shape];
    shape[node.axis] = x.reduce((sum, part) => sum + part.shape[node.axis], 0);
    const made = tensor(shape);
    const blocks = count(shape.slice(0, node.axis));
    let at = 0;
    for (let block = 0; block < blocks; block++) {
      for (const part of x) {
        const length = part.data.length / blocks;
        made.data.set(part.data.subarray(block * length, (block + 1) * length), at);
        at += length;
      }
    }
    return made;
  }

  function reversed(node, rows, x) {
    const own = stepsOf(x.shape);
    const turned = (i) => node.axes.includes(i);
    const at = own.reduce((sum, step, i) => sum + (turned(i) ? (x.shape[i] - 1) * step : 0), 0);
    return gathered(x.data, x.shape, own.map((step, i) => (turned(i) ? -step : step)), at);
  }

  function padded(node, rows, x, value) {
    if (node.padding.some(([, , inner]) => inner)) throw new Error("padding between numbers");
    const made = tensor(x.shape.map((n, i) => n + node.padding[i][0] + node.padding[i][1]));
    const steps = stepsOf(made.shape);
    const start = steps.reduce((sum, step, i) => sum + step * node.padding[i][0], 0);
    made.data.fill(value.data[0]);
    walk(x.shape, steps, start, (n, at, index) => {
      const inside = index.every((place, i) => {
        const there = place + node.padding[i][0];
        return there >= 0 && there < made.shape[i];
      });
      if (inside) made.data[at] = x.data[n];
    });
    return made;
  }

  function iota(node, rows) {
    const shape = dims(node.shape, rows);
    const line = tensor([shape[node.axis]]);
    line.data.forEach((_, i) => {
      line.data[i] = i;
    });
    return broadcast(line, shape, [node.axis]);
  }

  function rowsOf(node, rows, table, indices) {
    const shape = table.shape.slice(1);
    const length = count(shape);
    const made = tensor([...indices.shape.slice(0, -1), ...shape]);
    indices.data.forEach((index, n) => {
      const row = Math.min(Math.max(index, 0), table.shape[0] - 1);
      made.data.set(table.data.subarray(row * length, (row + 1) * length), n * length);
    });
    return made;
  }

  function converted(node, rows, x) {
    if (node.dtype.startsWith("float")) return x;
    const change = node.dtype === "bool" ? (v) => (v === 0 ? 0 : 1) : Math.trunc;
    return elementwise(change)(node, rows, x);
  }

  function select(node, rows, which, ...cases) {
    if (cases.length !== 2) throw new Error("a choice of other than two");
    return elementwise((c, no, yes) => (c ? yes : no))(node, rows, which, ...cases);
  }

  // Abramowitz & Stegun 1964, 7.1.26: within 1.5e-7.
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
    const sum = factors.reduce((total, factor) => total * t + factor, 0);
    return Math.sign(x) * (1 - sum * t * Math.exp(-x * x));
  }

  const functions = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    max: (a, b) => Math.max(a, b),
    min: (a, b) => Math.min(a, b),
    pow: (a, b) => a ** b,
    eq: (a, b) => (a === b ? 1 : 0),
    ne: (a, b) => (a !== b ? 1 : 0),
    lt: (a, b) => (a < b ? 1 : 0),
    le: (a, b) => (a <= b ? 1 : 0),
    gt: (a, b) => (a > b ? 1 : 0),
    ge: (a, b) => (a >= b ? 1 : 0),
    and: (a, b) => (a && b ? 1 : 0),
    or: (a, b) => (a || b ? 1 : 0),
    not: (a) => (a ? 0 : 1),
    abs: (a) => Math.abs(a),
    neg: (a) => -a,
    sign: (a) => Math.sign(a),
    floor: (a) => Math.floor(a),
    exp: (a) => Math.exp(a),
    log: (a) => Math.log(a),
    log1p: (a) => Math.log1p(a),
    expm1: (a) => Math.expm1(a),
    sqrt: (a) => Math.sqrt(a),
    tanh: (a) => Math.tanh(a),
    sin: (a) => Math.sin(a),
    cos: (a) => Math.cos(a),
    square: (a) => a * a,
    rsqrt: (a) => 1 / Math.sqrt(a),
    logistic: (a) => 1 / (1 + Math.exp(-a)),
    erf,
    clamp: (low, a, high) => Math.min(Math.max(a, low), high),
  };
  const operations = {
    ...Object.fromEntries(Object.entries(functions).map(([k, f]) => [k, elementwise(f)])),
    integer_pow: (node, rows, x) => elementwise((a) => a ** node.y)(node, rows, x),
    select_n: select,
    convert_element_type: converted,
    reshape: (node, rows, x) => tensor(dims(node.shape, rows), x.data),
    broadcast_in_dim: (node, rows, x) => broadcast(x, dims(node.shape, rows), node.axes),
    transpose: (node, rows, x) => transposed(x, node.axes),
    concatenate,
    slice: (node, rows, x) =>
      sliced(x, dims(node.start, rows), dims(node.limit, rows), node.strides),
    split,
    rev: reversed,
    pad: padded,
    iota,
    reduce_sum: reduced(0, (a, b) => a + b),
    reduce_max: reduced(-Infinity, Math.max),
    reduce_min: reduced(Infinity, Math.min),
    argmax: place((a, b) => a > b),
    argmin: place((a, b) => a < b),
    dot_general: dot,
    conv_general_dilated: convolution,
    gather: rowsOf,
  };

  // {name: tensor} of the outputs; `arrays` is a Map of tensors, `inputs` {name: tensor}.
  function run(graph, arrays, inputs) {
    const values = new Map(Object.entries(inputs));
    const rows = Object.values(inputs)[0].shape[0];
    const value = (operand) => {
      if (typeof operand !== "string") return tensor([], Float32Array.of(Number(operand)));
      const found = values.get(operand) || arrays.get(operand);
      if (!found) throw new Error(`no value '${operand}'`);
      return found;
    };
    for (const node of graph.nodes) {
      const operation = operations[node.op];
      if (!operation) throw new Error(`a step of the kind '${node.op}'`);
      const made = operation(node, rows, ...node.in.map(value));
      const list = Array.isArray(made) ? made : [made];
      node.out.forEach((name, i) => values.set(name, list[i]));
    }
    const outputs = Object.entries(graph.outputs);
    return Object.fromEntries(outputs.map(([name, key]) => [name, value(key)]));
  }

  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  // A Map of tensors from {arrays: [{name, shape, type}], data: base64}, one behind the
  // other; type 'f2' is 16 bits a number, 'f4' 32.
  function unpack(packed) {
    const view = new DataView(bytesOf(packed.data).buffer);
    const made = new Map();
    let at = 0;
    for (const { name, shape, type } of packed.arrays) {
      const x = tensor(shape);
      for (let n = 0; n < x.data.length; n++) {
        const small = type === "f2";
        x.data[n] = small ? half(view.getUint16(at, true)) : view.getFloat32(at, true);
        at += small ? 2 : 4;
      }
      made.set(name, x);
    }
    return made;
  }

  return { run, unpack, tensor, bytesOf, operations: Object.keys(operations) };
})();
if (typeof module !== "undefined") module.exports = infovaeGraph;
